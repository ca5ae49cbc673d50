package manager

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// longestWatch is how long a watch may be silent or last, whatever the API server does.
const longestWatch = minWatch + moreWatch + lateWatch

// A watch that the API server doesn't end is cut, and so is one that doesn't begin.
// One that begins with a list may be long in it, if it isn't silent.
func TestWatchBounded(t *testing.T) {
	yes := true
	listing := metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true}
	end := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	for _, tt := range []struct {
		name    string
		opts    metav1.ListOptions
		serve   func(*watch.FakeWatcher)
		atLeast time.Duration
		listed  int
	}{
		{name: "silent", serve: func(*watch.FakeWatcher) {}},
		{name: "busy", serve: func(w *watch.FakeWatcher) {
			for range 10 {
				time.Sleep(5 * time.Second)
				w.Modify(&corev1.Namespace{})
			}
		}},
		{name: "silent list", opts: listing, serve: func(*watch.FakeWatcher) {}},
		{name: "long list", opts: listing, serve: func(w *watch.FakeWatcher) {
			for range 10 {
				time.Sleep(50 * time.Second)
				w.Add(&corev1.Namespace{})
			}
			w.Action(watch.Bookmark, &corev1.Namespace{}) // another one
			w.Action(watch.Bookmark, end)
			time.Sleep(time.Second)
			w.Action(watch.Bookmark, end)
		}, atLeast: 500 * time.Second, listed: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, listed, asked := watch.NewFake(), 0, metav1.ListOptions{}
				start := time.Now()
				w, err := watchBounded(t.Context(), tt.opts, func(_ context.Context, opts metav1.ListOptions) (watch.Interface, error) {
					asked = opts
					return source, nil
				}, func() { listed++ })
				if err != nil {
					t.Fatal(err)
				}
				go tt.serve(source)
				for range w.ResultChan() {
				}
				if took := time.Since(start); took < tt.atLeast+minWatch || took > tt.atLeast+longestWatch {
					t.Errorf("the watch took %v, want %v to %v", took, tt.atLeast+minWatch, tt.atLeast+longestWatch)
				}
				if synctest.Wait(); !source.IsStopped() {
					t.Error("the watch of the API server goes on")
				}
				if listed != tt.listed {
					t.Errorf("%d lists have ended, want %d", listed, tt.listed)
				}
				if seconds := asked.TimeoutSeconds; tt.opts.SendInitialEvents == nil &&
					(seconds == nil || *seconds < int64(minWatch/time.Second) || *seconds > int64((minWatch+moreWatch)/time.Second)) {
					t.Errorf("the API server is to end the watch after %v seconds, want about a minute", seconds)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := watchBounded(t.Context(), metav1.ListOptions{}, func(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, nil)
		if took := time.Since(start); !errors.Is(err, context.Canceled) || took > longestWatch {
			t.Errorf("a watch that doesn't begin ended with %v after %v, want it cancelled within %v", err, took, longestWatch)
		}
	})
	synctest.Test(t, func(t *testing.T) { // Stop, with an event that nobody takes
		source := watch.NewFake()
		w, err := watchBounded(t.Context(), metav1.ListOptions{}, func(context.Context, metav1.ListOptions) (watch.Interface, error) { return source, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		source.Add(&corev1.Namespace{})
		w.Stop()
		w.Stop()
		if synctest.Wait(); !source.IsStopped() {
			t.Error("Stop() doesn't stop the watch of the API server")
		}
	})
}

// hungLister never answers.
type hungLister struct{}

func (hungLister) List(ctx context.Context, _ metav1.ListOptions) (*corev1.NamespaceList, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hungLister) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return nil, errors.New("unused")
}

// A list that isn't answered is given up.
func TestListBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		lw := cache.ToListerWatcherWithContext(listWatch(nil, hungLister{}, "", func() { t.Error("listed() of a list that failed") }))
		_, err := lw.ListWithContext(t.Context(), metav1.ListOptions{})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != maxList {
			t.Errorf("the list ended with %v after %v, want a deadline of %v", err, took, maxList)
		}
	})
}
