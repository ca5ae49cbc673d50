package saruntime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// toy is a Controller that records changes and answers as it is told.
type toy struct {
	changes []sacontroller.Change
	result  sacontroller.Result
	err     error
	bug     bool
}

func (*toy) Name() string { return "toy" }

func (c *toy) Due(change sacontroller.Change) []sacontroller.Key {
	if c.bug {
		panic("a bug")
	}
	c.changes = append(c.changes, change)
	return []sacontroller.Key{key("a", "1"), key("a", "2")}
}

func (c *toy) Reconcile(context.Context, sacontroller.Key) (sacontroller.Result, error) {
	return c.result, c.err
}

func (*toy) LastError(sacontroller.Key) error { return io.EOF }

// logs returns a context whose logger appends to lines.
func logs(ctx context.Context) (_ context.Context, lines *[]string) {
	lines = new([]string)
	var mu sync.Mutex
	return log.IntoContext(ctx, funcr.New(func(_, line string) {
		mu.Lock()
		defer mu.Unlock()
		*lines = append(*lines, line)
	}, funcr.Options{})), lines
}

// An attempt ends for controller-runtime as it does for the controller.
func TestReconciler(t *testing.T) {
	terminal := error(&sacontroller.TerminalError{Err: io.EOF})
	for _, tt := range []struct {
		name     string
		result   time.Duration
		err      error
		want     time.Duration
		terminal bool
	}{
		{name: "success"},
		{name: "later", result: time.Minute, want: time.Minute},
		{name: "yield", result: sacontroller.Yield, want: sacontroller.Yield},
		{name: "failure", err: io.EOF},
		{name: "failure with a result", result: time.Minute, err: io.EOF}, // controller-runtime logs a warning about both
		{name: "terminal", err: terminal, terminal: true},
		{name: "terminal, wrapped", err: fmt.Errorf("x: %w", terminal), terminal: true},
		{name: "several, all terminal", err: errors.Join(terminal, terminal), terminal: true},
		{name: "several, one isn't", err: errors.Join(terminal, io.EOF)},
		{name: "controller-runtime's own", err: reconcile.TerminalError(io.EOF), terminal: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, logged := logs(t.Context())
			c := &toy{result: sacontroller.Result{RequeueAfter: tt.result}, err: tt.err}
			got, err := reconciler{c}.Reconcile(ctx, key("a", "1"))
			if want := tt.want > sacontroller.Yield; (len(*logged) == 1) != want || want && !strings.Contains((*logged)[0], `"Put off" "after"="1m0s" "reason"="EOF"`) {
				t.Errorf("logged %q, want why the key was put off: %v", *logged, want)
			}
			*logged = nil
			_, _ = reconciler{struct{ sacontroller.Controller }{c}}.Reconcile(ctx, key("a", "1"))
			if len(*logged) > 0 {
				t.Errorf("logged %q of a controller that doesn't say why", *logged)
			}
			if got.RequeueAfter != tt.want || (err == nil) != (tt.err == nil) || tt.err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("Reconcile() = %v, %v, want %v and the controller's error", got, err, tt.want)
			}
			if got := errors.Is(err, reconcile.TerminalError(nil)); got != tt.terminal {
				t.Errorf("terminal: %v, want %v", got, tt.terminal)
			}
		})
	}
}

// recorded is a priority queue that records what is added.
type recorded struct {
	priorityqueue.PriorityQueue[sacontroller.Key]
	keys       []sacontroller.Key
	priorities []int
}

func (q *recorded) Add(key sacontroller.Key) { q.AddWithOpts(priorityqueue.AddOpts{}, key) }

func (q *recorded) AddWithOpts(o priorityqueue.AddOpts, keys ...sacontroller.Key) {
	for _, key := range keys {
		priority := 0
		if o.Priority != nil {
			priority = *o.Priority
		}
		q.keys, q.priorities = append(q.keys, key), append(q.priorities, priority)
	}
}

// A change reaches Due with the type and the objects that it has, and what is due
// reaches the queue, with a low priority if nothing may have changed.
func TestChanges(t *testing.T) {
	account := func(uid types.UID, version string) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder", UID: uid, ResourceVersion: version}}
	}
	old, edited, recreated := account("1", "1"), account("1", "2"), account("2", "3")
	update := func(old, updated client.Object) func(context.Context, handler.TypedEventHandler[client.Object, sacontroller.Key], queue) {
		return func(ctx context.Context, h handler.TypedEventHandler[client.Object, sacontroller.Key], q queue) {
			h.Update(ctx, event.TypedUpdateEvent[client.Object]{ObjectOld: old, ObjectNew: updated}, q)
		}
	}
	for _, tt := range []struct {
		name     string
		happen   func(context.Context, handler.TypedEventHandler[client.Object, sacontroller.Key], queue)
		want     sacontroller.Change
		priority int
	}{
		{"created", func(ctx context.Context, h handler.TypedEventHandler[client.Object, sacontroller.Key], q queue) {
			h.Create(ctx, event.TypedCreateEvent[client.Object]{Object: old}, q)
		}, sacontroller.Change{Type: watch.Added, Object: old}, 0},
		{"listed", func(ctx context.Context, h handler.TypedEventHandler[client.Object, sacontroller.Key], q queue) {
			h.Create(ctx, event.TypedCreateEvent[client.Object]{Object: old, IsInInitialList: true}, q)
		}, sacontroller.Change{Type: watch.Added, Object: old}, handler.LowPriority},
		{"edited", update(old, edited), sacontroller.Change{Type: watch.Modified, Object: edited, Old: old}, 0},
		{"recreated", update(edited, recreated), sacontroller.Change{Type: watch.Modified, Object: recreated, Old: edited}, 0},
		{"resynced", update(old, old), sacontroller.Change{Type: watch.Added, Object: old}, handler.LowPriority},
		{"deleted", func(ctx context.Context, h handler.TypedEventHandler[client.Object, sacontroller.Key], q queue) {
			h.Delete(ctx, event.TypedDeleteEvent[client.Object]{Object: old}, q)
		}, sacontroller.Change{Type: watch.Deleted, Object: old}, 0},
		{"deleted, noticed late", func(ctx context.Context, h handler.TypedEventHandler[client.Object, sacontroller.Key], q queue) {
			h.Delete(ctx, event.TypedDeleteEvent[client.Object]{Object: old, DeleteStateUnknown: true}, q)
		}, sacontroller.Change{Type: watch.Deleted, Object: old}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, q := &toy{}, &recorded{}
			tt.happen(t.Context(), changes(c), q)
			if want := []sacontroller.Change{tt.want}; !reflect.DeepEqual(c.changes, want) {
				t.Errorf("Due gets %v, want %v", c.changes, want)
			}
			if want := []sacontroller.Key{key("a", "1"), key("a", "2")}; !reflect.DeepEqual(q.keys, want) || !reflect.DeepEqual(q.priorities, []int{tt.priority, tt.priority}) {
				t.Errorf("queued: %v with priorities %v, want %v with %d", q.keys, q.priorities, want, tt.priority)
			}
			ctx, logged := logs(t.Context())
			tt.happen(ctx, changes(&toy{bug: true}), q) // doesn't take the process down
			if len(*logged) != 1 || !strings.Contains((*logged)[0], `"Panic in Due" "error"=null "controller"="toy" "panic"="a string"`) {
				t.Errorf("logged %.200q, want the panic", *logged)
			}
		})
	}
}
