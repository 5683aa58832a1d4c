// Command handler is where the workers of a test post their messages, in a pod of its own. A
// message's payload is its number, from 1 on. The handler knows what came of each: it is the truth
// that what queues and workers say is compared with.
//
//	POST /<queue>/<time>   works for that time, such as 100ms, and answers 200
//	GET  /<queue>?total=N  tells what came of the messages 1 to N, as JSON
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	maxPayload    = 64
	headerTimeout = 5 * time.Second
	closeTimeout  = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, cmp.Or(os.Getenv("ADDR"), ":8080")); err != nil {
		fmt.Fprintln(os.Stderr, "handler:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr string) error {
	server := &http.Server{Addr: addr, Handler: newHandler(), ReadHeaderTimeout: headerTimeout}
	go func() {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = server.Shutdown(closing) // its accounts go with it
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func newHandler() http.Handler {
	books := &books{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{queue}/{work}", func(w http.ResponseWriter, r *http.Request) {
		if err := books.work(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /{queue}", func(w http.ResponseWriter, r *http.Request) {
		total, err := strconv.Atoi(r.FormValue("total"))
		if err != nil {
			http.Error(w, "total is no number: "+err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(books.account(r.PathValue("queue"), total)) // who asked is gone
	})
	return mux
}

// work does the work on a message. It ends with its worker's connection: the message is not done then.
func (b *books) work(r *http.Request) error {
	duration, err := time.ParseDuration(r.PathValue("work"))
	if err != nil {
		return err
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload))
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(string(payload))
	if err != nil {
		return fmt.Errorf("the message is %q, which is no number", payload)
	}
	b.begin(r.PathValue("queue"))
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	case <-timer.C:
	}
	b.end(r.PathValue("queue"), number)
	return nil
}
