package manager

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// The bounds of one request of an informer. client-go's own are ten minutes for a
// watch, and none for a list: one that the API server, or something on the way to it,
// has forgotten would leave a cache behind for as long.
const (
	maxList   = 2 * time.Minute  // twice what an API server allows itself by default
	minWatch  = 50 * time.Second // the API server is asked to end it after that, or up to
	moreWatch = 20 * time.Second // that much later, so that not all end at once
	lateWatch = 10 * time.Second // it is cut if the API server is later than that
)

// lister is the part of client-go's typed clients that informers use.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// listWatch lists and watches the objects of in that match selector, if there is
// one. client is what in comes from; it knows whether watches can begin with a list.
// listed is called after each list, or beginning of a watch that is one: an object
// that came and went since the last watch has ended is in no event.
func listWatch[L runtime.Object](client any, in lister[L], selector string, listed func()) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			ctx, cancel := context.WithTimeout(ctx, maxList)
			defer cancel()
			opts.FieldSelector = selector
			list, err := in.List(ctx, opts)
			if err != nil {
				return nil, err
			}
			if page, err := meta.ListAccessor(list); err != nil || page.GetContinue() == "" {
				listed()
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.FieldSelector = selector
			return watchBounded(ctx, opts, in.Watch, listed)
		},
	}, client)
}

// A boundedWatch is a watch that ends in time, whatever the API server does. The
// informer goes on with another one, from where it ended.
type boundedWatch struct {
	events chan watch.Event
	cancel context.CancelFunc
}

// watchBounded starts a boundedWatch. One that begins with a list may take as long as
// client-go allows, for there may be much to list, but neither be silent in it, nor go
// on after it, for longer than another one lasts.
func watchBounded(ctx context.Context, opts metav1.ListOptions, start func(context.Context, metav1.ListOptions) (watch.Interface, error), listed func()) (watch.Interface, error) {
	life := minWatch + rand.N(moreWatch)
	listing := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	if !listing {
		seconds := int64(life / time.Second)
		opts.TimeoutSeconds = &seconds
	}
	life += lateWatch
	ctx, cancel := context.WithCancel(ctx)
	end := time.AfterFunc(life, cancel)
	source, err := start(ctx, opts)
	if err != nil {
		end.Stop()
		cancel()
		return nil, err
	}
	w := &boundedWatch{make(chan watch.Event), cancel}
	go func() {
		defer close(w.events)
		defer source.Stop()
		defer cancel()
		defer end.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, ok := <-source.ResultChan():
				if !ok {
					return
				}
				if listing {
					end.Reset(life)
				}
				if listing && endsList(event) {
					listing = false
					listed()
				}
				select {
				case <-ctx.Done():
					return
				case w.events <- event:
				}
			}
		}
	}()
	return w, nil
}

// endsList reports whether event is the last of the list that a watch begins with.
func endsList(event watch.Event) bool {
	if event.Type != watch.Bookmark {
		return false
	}
	object, err := meta.Accessor(event.Object)
	return err == nil && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}

// ResultChan and Stop implement [watch.Interface].
func (w *boundedWatch) ResultChan() <-chan watch.Event { return w.events }

func (w *boundedWatch) Stop() { w.cancel() }
