module sharesock.invalid/sharesock

go 1.24
