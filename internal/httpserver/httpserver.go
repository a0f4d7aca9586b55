// Package httpserver serves HTTP with bounded memory to clients that are not trusted.
//
// At most MaxConnections connections are open, and none has to wait for the others: a
// further one replaces the oldest connection of the client that has the most. Probes are
// therefore answered while a client opens as many connections as it can. Headers are
// limited, bodies are refused, and each step has a time-out.
package httpserver

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// The limits of a server.
const (
	// MaxConnections is the maximum number of open connections of a listener.
	MaxConnections = 64
	// MaxHeaderBytes is the maximum size of a request, which has no body.
	MaxHeaderBytes = 8 << 10
)

// The time-outs of a server.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 15 * time.Second
)

// New returns a server for the connections of Listen. It answers one request on each
// connection, and logs nothing, because clients cause its errors and could fill the log.
func New(handler http.Handler) *http.Server {
	s := &http.Server{
		Handler:           refuseBodies(handler),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       readTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	s.SetKeepAlivesEnabled(false)
	return s
}

type connKey struct{}

// refuseBodies closes connections whose request has a body. net/http would read up to
// 256 KiB of it, until the time-out, and then keep the connection for half a second.
func refuseBodies(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
				c.Close()
			}
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	})
}

// Listen listens on a TCP address with the limits of this package; with TLS unless config
// is nil.
func Listen(ctx context.Context, address string, config *tls.Config) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l = newBoundedListener(l, MaxConnections)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return newRequestListener(l), nil
}
