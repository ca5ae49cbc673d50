package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// A loop drives one controller: the keys that are due, one at a time, and those that fail again and
// again, later and later. What isn't done when the process ends is due again once every object is
// told of as if it was new.
type loop struct {
	controller sacontroller.Controller
	wake       chan struct{} // has room for one value

	mu  sync.Mutex
	due map[sacontroller.Key]bool
}

func newLoop(c sacontroller.Controller) *loop {
	return &loop{controller: c, wake: make(chan struct{}, 1), due: map[sacontroller.Key]bool{}}
}

// add makes keys due. One that waits already is not done twice.
func (l *loop) add(keys ...sacontroller.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		l.due[key] = true
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run works until ctx is done.
func (l *loop) run(ctx context.Context) {
	failures := map[sacontroller.Key]int{}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-l.wake:
		}
		l.mu.Lock()
		due := l.due
		l.due = map[sacontroller.Key]bool{}
		l.mu.Unlock()
		for key := range due {
			if ctx.Err() != nil {
				return
			}
			result, err := l.controller.Reconcile(ctx, key)
			if err != nil {
				result.RequeueAfter = min(5*time.Millisecond<<min(failures[key], 20), time.Minute)
				slog.Warn("reconcile", "controller", l.controller.Name(), "key", key.String(), "again", result.RequeueAfter, "err", err)
				failures[key]++
			} else {
				delete(failures, key)
			}
			if result.RequeueAfter > 0 {
				time.AfterFunc(result.RequeueAfter, func() { l.add(key) })
			}
		}
	}
}
