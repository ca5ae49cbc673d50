package saruntime

import (
	"context"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// lists tells the controllers when a cache has listed a kind again: an object that
// came and went while there was no watch is in no change. It is safe for concurrent
// use.
type lists struct {
	mu      sync.Mutex
	waiting map[reflect.Type][]chan<- struct{}
}

// notify sends to listed after each list of the kind of example. listed holds one value.
func (l *lists) notify(example runtime.Object, listed chan<- struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = map[reflect.Type][]chan<- struct{}{}
	}
	kind := reflect.TypeOf(example)
	l.waiting[kind] = append(l.waiting[kind], listed)
}

func (l *lists) listed(kind reflect.Type) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, waiting := range l.waiting[kind] {
		select {
		case waiting <- struct{}{}:
		default: // it will look
		}
	}
}

// newInformer makes the informers of a cache, for its option NewInformer.
func (l *lists) newInformer(lw cache.ListerWatcher, example runtime.Object, resync time.Duration, indexers cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(l.telling(cache.ToListerWatcherWithContext(lw), example), example, resync, indexers)
}

// telling returns source, which tells of each of its lists.
func (l *lists) telling(source cache.ListerWatcherWithContext, example runtime.Object) *cache.ListWatch {
	listed := func() { l.listed(reflect.TypeOf(example)) }
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			list, err := source.ListWithContext(ctx, opts)
			if err != nil {
				return nil, err
			}
			if page, err := meta.ListAccessor(list); err != nil || page.GetContinue() == "" {
				listed()
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			events, err := source.WatchWithContext(ctx, opts)
			if err != nil || opts.SendInitialEvents == nil || !*opts.SendInitialEvents {
				return events, err
			}
			return watch.Filter(events, func(e watch.Event) (watch.Event, bool) {
				if endsList(e) {
					listed()
				}
				return e, true
			}), nil
		},
	}
}

// endsList reports whether e is the last of the list that a watch begins with.
func endsList(e watch.Event) bool {
	if e.Type != watch.Bookmark {
		return false
	}
	object, err := meta.Accessor(e.Object)
	return err == nil && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}
