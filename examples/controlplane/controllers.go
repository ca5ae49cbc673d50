package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// A loop drives one controller: one due key at a time, failed ones with back-off. It stores
// nothing: when the program starts, every object counts as new, so unfinished work is due again.
type loop struct {
	sacontroller.Controller
	wake chan struct{} // has room for one value

	mu  sync.Mutex
	due map[sacontroller.Key]bool
}

// add makes keys due. A key that is due already is reconciled once.
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

// run reconciles keys until ctx is done.
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
			result, err := l.Reconcile(ctx, key)
			if ctx.Err() != nil {
				return
			}
			failures[key]++
			if err == nil {
				delete(failures, key)
			} else {
				result.RequeueAfter = min(5*time.Millisecond<<min(failures[key]-1, 20), time.Minute)
				slog.Warn("reconcile", "controller", l.Name(), "key", key.String(), "again", result.RequeueAfter, "err", err)
			}
			if result.RequeueAfter > 0 {
				time.AfterFunc(result.RequeueAfter, func() { l.add(key) })
			}
		}
	}
}
