<?php
// The page for php-fpm: both halves, with the page's pause between them.
$number = (int) trim($_SERVER['REQUEST_URI'], '/');
$text = str_repeat("$number\n", 1024);
$middle = intdiv(strlen($text), 2);
header('Content-Type: text/plain');
header('Content-Length: ' . strlen($text));
header('x-pid: ' . getmypid());
echo substr($text, 0, $middle);
flush();
$end = microtime(true) + ($number >= 1000000 ? 0.5 : ($number % 200 == 0 ? 1 : 0));
// A signal ends usleep() early.
while (($left = $end - microtime(true)) > 0) {
    usleep((int) ($left * 1e6) + 1);
}
echo substr($text, $middle);
