module github.com/sharesock/sharesock/bindings/go

go 1.24
