package fake_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
)

func tell(events []watch.Event) (told []string) {
	for _, e := range events {
		o := e.Object.(metav1.Object)
		told = append(told, fmt.Sprintf("%s %s@%s", e.Type, o.GetName(), o.GetResourceVersion()))
	}
	return told
}

func TestWatch(t *testing.T) {
	red := secretNamed("a")
	red.Labels = map[string]string{"colour": "red"}
	c := newCI(t, red, &corev1.Secret{ObjectMeta: meta("cd", "z")})
	open := func(resource, namespace string, opts metav1.ListOptions) *fake.Watch {
		w := must[*fake.Watch](t)(c.Watch(t.Context(), resource, namespace, opts))
		t.Cleanup(w.Stop)
		return w
	}
	watches := map[string]*fake.Watch{
		"all":         open("", "", metav1.ListOptions{}),
		"from 3":      open("secrets", "", metav1.ListOptions{ResourceVersion: "3"}),
		"from now":    open("secrets", "", metav1.ListOptions{ResourceVersion: c.Revision()}),
		"one ns":      open("secrets", "ci", metav1.ListOptions{}),
		"red":         open("secrets", "", metav1.ListOptions{LabelSelector: "colour=red"}),
		"only name b": open("secrets", "", metav1.ListOptions{FieldSelector: "metadata.name=b"}),
		"other kind":  open("pods", "", metav1.ListOptions{}),
	}
	a := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "a"))
	a.Labels["colour"] = "blue"
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), a))
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("b")))
	if err := c.DeleteSecret(t.Context(), "ci", "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"all":         {"ADDED cd@3", "ADDED ci@1", "ADDED z@4", "ADDED a@2", "MODIFIED a@5", "ADDED b@6", "DELETED b@7"},
		"from 3":      {"ADDED z@4", "MODIFIED a@5", "ADDED b@6", "DELETED b@7"},
		"from now":    {"MODIFIED a@5", "ADDED b@6", "DELETED b@7"},
		"one ns":      {"ADDED a@2", "MODIFIED a@5", "ADDED b@6", "DELETED b@7"},
		"red":         {"ADDED a@2", "DELETED a@5"},
		"only name b": {"ADDED b@6", "DELETED b@7"},
		"other kind":  nil,
	}
	for name, w := range watches {
		if diff := cmp.Diff(want[name], tell(w.Pending())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCI(t)
		w := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "1"}))
		got := make(chan string)
		go func() {
			event, err := w.Next(context.Background())
			got <- fmt.Sprint(tell([]watch.Event{event}), err)
		}()
		synctest.Wait()
		must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("a")))
		if got := <-got; got != "[ADDED a@2] <nil>" {
			t.Errorf("Next() = %s, want the new secret", got)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Next() with a cancelled context = %v, want context.Canceled", err)
		}
		go func() {
			_, err := w.Next(context.Background())
			got <- fmt.Sprint(errors.Is(err, fake.ErrWatchClosed))
		}()
		synctest.Wait()
		w.Stop()
		w.Stop()
		if got := <-got; got != "true" {
			t.Error("Next() of a stopped watch does not return ErrWatchClosed")
		}
	})
}

func TestWatchRefuses(t *testing.T) {
	c := newCI(t)
	_, err := c.Watch(t.Context(), "services", "", metav1.ListOptions{})
	checkError(t, err, metav1.StatusReasonBadRequest, `fake: no resource "services"`)
	_, err = c.Watch(t.Context(), "secrets", "", metav1.ListOptions{FieldSelector: "data=x"})
	checkError(t, err, metav1.StatusReasonBadRequest, "field label not supported: data")
	_, err = c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "new"})
	checkError(t, err, metav1.StatusReasonUnknown, `resourceVersion: Invalid value: "new": strconv.ParseUint: parsing "new": invalid syntax`)
}
