package server

import (
	"context"

	"k8s.io/apimachinery/pkg/watch"
)

// channel delivers a Watch through a channel.
type channel struct {
	watch  *Watch
	events chan watch.Event
}

// Interface returns w in the shape that informers take. A goroutine takes the events from
// then on, until ctx is done or the result is stopped.
func (w *Watch) Interface(ctx context.Context) watch.Interface {
	ch := &channel{watch: w, events: make(chan watch.Event)}
	go ch.run(ctx)
	return ch
}

func (ch *channel) run(ctx context.Context) {
	defer close(ch.events)
	defer ch.watch.Stop()
	for {
		event, err := ch.watch.Next(ctx)
		if err != nil {
			return
		}
		select {
		case ch.events <- event:
		case <-ctx.Done():
			return
		case <-ch.watch.stopped:
			return
		}
	}
}

func (ch *channel) Stop()                          { ch.watch.Stop() }
func (ch *channel) ResultChan() <-chan watch.Event { return ch.events }
