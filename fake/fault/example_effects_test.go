package fault_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// password is a Secret for the examples of faults.
func password() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "password"}}
}

// A write that happened, although its caller got an error.
func ExampleAfter() {
	ctx := context.Background()
	c := fake.New(password())
	c.Inject(fault.Nth(1, "delete", "secrets", fault.After(errors.New("connection reset"))))
	fmt.Println(c.DeleteSecret(ctx, "ci", "password", metav1.DeleteOptions{}))
	fmt.Println(c.DeleteSecret(ctx, "ci", "password", metav1.DeleteOptions{}))

	// Output:
	// connection reset
	// secrets "password" not found
}

// A watch that is closed after its first event, as API servers do now and then:
// the client has to watch again.
func ExampleDropWatch() {
	ctx := context.Background()
	c := fake.New(password())
	c.Inject(fault.First(1, "watch", "secrets", fault.DropWatch(1)))
	w, err := c.Watch(ctx, "secrets", "ci", metav1.ListOptions{ResourceVersion: c.Revision()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()
	if err := c.DeleteSecret(ctx, "ci", "password", metav1.DeleteOptions{}); err != nil {
		fmt.Println(err)
	}
	event, err := w.Next(ctx)
	fmt.Println(event.Type, err)
	_, err = w.Next(ctx)
	fmt.Println(errors.Is(err, fake.ErrWatchClosed))

	// Output:
	// DELETED <nil>
	// true
}

// A call that takes longer than its caller waits.
func ExampleSlow() {
	c := fake.New(password())
	c.Inject(fault.On("get", "secrets", fault.Slow(time.Hour)))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := c.GetSecret(ctx, "ci", "password")
	fmt.Println(err)

	// Output:
	// context deadline exceeded
}

// One read that misses the last write, as from a cache.
func ExampleStale() {
	ctx := context.Background()
	c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	if _, err := c.CreateSecret(ctx, password()); err != nil {
		fmt.Println(err)
	}
	c.Inject(fault.First(1, "get", "secrets", fault.Stale(1)))
	_, err := c.GetSecret(ctx, "ci", "password")
	fmt.Println(apierrors.IsNotFound(err))
	_, err = c.GetSecret(ctx, "ci", "password")
	fmt.Println(err)

	// Output:
	// true
	// <nil>
}

// Every read misses the last write.
func ExampleStaleReads() {
	ctx := context.Background()
	c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	c.Inject(fault.StaleReads(1))
	if _, err := c.CreateSecret(ctx, password()); err != nil {
		fmt.Println(err)
	}
	for range 2 {
		_, err := c.GetSecret(ctx, "ci", "password")
		fmt.Println(apierrors.IsNotFound(err))
	}
	_, err := c.CreateSecret(ctx, password()) // writes are not affected
	fmt.Println(err)

	// Output:
	// true
	// true
	// secrets "password" already exists
}
