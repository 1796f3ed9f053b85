// A server of Go's net/http, which takes its listener by coreos/go-systemd.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/activation"
)

func page(response http.ResponseWriter, request *http.Request) {
	number, err := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/"))
	if err != nil {
		http.NotFound(response, request)
		return
	}
	text := strings.Repeat(strconv.Itoa(number)+"\n", 1024)
	response.Header().Set("Content-Length", strconv.Itoa(len(text)))
	response.Header().Set("x-pid", strconv.Itoa(os.Getpid()))
	middle := len(text) / 2
	response.Write([]byte(text[:middle]))
	if number%200 == 0 {
		response.(http.Flusher).Flush()
		time.Sleep(time.Second)
	}
	response.Write([]byte(text[middle:]))
}

func main() {
	listeners, err := activation.Listeners()
	if err != nil || len(listeners) == 0 || listeners[0] == nil {
		log.Fatal("server.go: no listener: start it as systemd does, with LISTEN_FDS")
	}
	server := &http.Server{Handler: http.HandlerFunc(page)}
	ended := make(chan error)
	go func() { ended <- server.Serve(listeners[0]) }()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	if err := server.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// A connection that was accepted while Shutdown looked is known to it only now.
	<-ended
	if err := server.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}
