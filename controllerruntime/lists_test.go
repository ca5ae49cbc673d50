package saruntime

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Whoever waits for a kind is told of its lists, and told once until it looks.
func TestNotify(t *testing.T) {
	var l lists
	pods, more, secrets := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	l.notify(&corev1.Pod{}, pods)
	l.notify(&corev1.Pod{}, more)
	l.notify(&corev1.Secret{}, secrets)
	for range 2 {
		l.listed(reflect.TypeFor[*corev1.Pod]())
	}
	if len(pods) != 1 || len(more) != 1 || len(secrets) != 0 {
		t.Errorf("told %d, %d and of Secrets %d, want 1, 1 and 0", len(pods), len(more), len(secrets))
	}
}

// A list has been made once its last page, or its last event, is there.
func TestTelling(t *testing.T) {
	page := func(next string) runtime.Object {
		return &corev1.PodList{ListMeta: metav1.ListMeta{Continue: next}}
	}
	bookmark := func(value string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{metav1.InitialEventsAnnotationKey: value}}}
	}
	yes, no := true, false
	for _, tt := range []struct {
		name  string
		list  runtime.Object // or
		asks  *bool          // for initial events of a watch, which has
		event watch.Event
		err   error
		tells int
	}{
		{name: "a list", list: page(""), tells: 1},
		{name: "a page", list: page("more")},
		{name: "a list without metadata", list: &corev1.Pod{}, tells: 1},
		{name: "a list that fails", list: page(""), err: io.EOF},
		{name: "a watch without initial events", event: watch.Event{Type: watch.Bookmark, Object: bookmark("true")}},
		{name: "a watch that wants none", asks: &no, event: watch.Event{Type: watch.Bookmark, Object: bookmark("true")}},
		{name: "the end of initial events", asks: &yes, event: watch.Event{Type: watch.Bookmark, Object: bookmark("true")}, tells: 1},
		{name: "another bookmark", asks: &yes, event: watch.Event{Type: watch.Bookmark, Object: bookmark("")}},
		{name: "a bookmark without an object", asks: &yes, event: watch.Event{Type: watch.Bookmark, Object: &metav1.Status{}}},
		{name: "a change", asks: &yes, event: watch.Event{Type: watch.Added, Object: bookmark("true")}},
		{name: "a watch that fails", asks: &yes, err: io.EOF},
	} {
		var l lists
		told, events := make(chan struct{}, 1), watch.NewFakeWithChanSize(1, false)
		l.notify(&corev1.Pod{}, told)
		events.Action(tt.event.Type, tt.event.Object)
		source := l.telling(&cache.ListWatch{
			ListWithContextFunc:  func(context.Context, metav1.ListOptions) (runtime.Object, error) { return tt.list, tt.err },
			WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return events, tt.err },
		}, &corev1.Pod{})
		if tt.list != nil {
			got, err := source.ListWithContextFunc(t.Context(), metav1.ListOptions{})
			if !errors.Is(err, tt.err) || (got == nil) != (err != nil) {
				t.Errorf("%s: %v, %v, want the list or its error", tt.name, got, err)
			}
		} else if got, err := source.WatchFuncWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: tt.asks}); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want the error of the watch", tt.name, err)
		} else if err == nil {
			if e := <-got.ResultChan(); !reflect.DeepEqual(e, tt.event) {
				t.Errorf("%s: got %v, want the event", tt.name, e)
			}
			got.Stop()
		}
		if len(told) != tt.tells {
			t.Errorf("%s: told %d times, want %d", tt.name, len(told), tt.tells)
		}
	}
}
