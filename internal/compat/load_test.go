package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// loadClients is how many users there are at a time.
const loadClients = 8

// TestLoad gives upstream's controllers and ours, in turns, the same work on the
// same API server: users create namespaces, and for the account of each a token
// Secret, and go on when it is filled. The short form is there for what it checks,
// the long form for what it logs.
func TestLoad(t *testing.T) {
	n, runs := generate.Count(40, 1000), generate.Count(1, 3)
	l := startLoadTest(t)
	report := &loadReport{columns: []loadColumn{
		{"time/s", "%.2f", 1.0}, {"requests", "%.0f", 0.7}, {"cpu/s", "%.2f", 0},
		{"peak memory/MB", "%.1f", 0}, {"received/kB", "%.0f", 0},
	}}
	for run := range max(runs, 1) {
		for _, s := range sides {
			namespace := func(i int) string { return fmt.Sprintf("load-%d-%s-%d", run, s, i) }
			m := l.start(t, s)
			m.waitReady(t)
			m.waitQuiet(t)
			before, start := m.proxy.now(), time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			err := each(ctx, loadClients, n, func(ctx context.Context, i int) error { return l.provision(ctx, namespace(i)) })
			cancel()
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			took := time.Since(start)
			m.waitQuiet(t)
			traffic, peak := m.proxy.now().since(before), m.memory(t, "VmHWM")
			busy := m.stop(t)
			report.add(s, fmt.Sprint(traffic.verbs, traffic.contentTypes),
				took.Seconds(), float64(traffic.requests()), busy.Seconds(), float64(peak)/1e6, float64(traffic.bytes)/1e3)
			if err := each(t.Context(), loadClients, n, func(ctx context.Context, i int) error {
				if err := l.check(ctx, namespace(i)); err != nil {
					t.Errorf("%s: namespace %s: %v", s, namespace(i), err)
				}
				return l.remove(ctx, namespace(i))
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d namespaces in each run, %d users\n%s", n, loadClients, report)
	// Some of upstream's requests are only made when it is behind.
	if ratio := report.ratio("requests"); ratio > 0.8 {
		t.Errorf("we make %.2f times as many requests as upstream, want 0.8 at most", ratio)
	}
}

// provision is what a user does.
func (l *loadTest) provision(ctx context.Context, namespace string) error {
	core := l.client.CoreV1()
	ns, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := await(ctx, core.ServiceAccounts(namespace), "default", ns.ResourceVersion, func(runtime.Object) bool { return true }); err != nil {
		return fmt.Errorf("waiting for the account of %s: %w", namespace, err)
	}
	secret, err := core.Secrets(namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := await(ctx, core.Secrets(namespace), "token", secret.ResourceVersion, func(object runtime.Object) bool {
		return len(object.(*corev1.Secret).Data[corev1.ServiceAccountTokenKey]) > 0
	}); err != nil {
		return fmt.Errorf("waiting for the token of %s: %w", namespace, err)
	}
	return nil
}

// await returns when the object called name was changed after resourceVersion to
// what is wanted.
func await(ctx context.Context, in interface {
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}, name, resourceVersion string, wanted func(runtime.Object) bool) error {
	w, err := in.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(), ResourceVersion: resourceVersion,
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		switch event.Type {
		case watch.Added, watch.Modified:
			if wanted(event.Object) {
				return nil
			}
		case watch.Error:
			return apierrors.FromObject(event.Object)
		}
	}
	return errors.Join(errors.New("the watch has ended"), ctx.Err())
}

// check says what is wrong with a namespace in which a user is done: it has to have
// one account and one Secret, whose token is good.
func (l *loadTest) check(ctx context.Context, namespace string) error {
	core := l.client.CoreV1()
	accounts, err := core.ServiceAccounts(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	secrets, err := core.Secrets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(accounts.Items) != 1 || len(secrets.Items) != 1 {
		return fmt.Errorf("%d accounts and %d Secrets, want one of each", len(accounts.Items), len(secrets.Items))
	}
	data := secrets.Items[0].Data
	if string(data[corev1.ServiceAccountNamespaceKey]) != namespace || string(data[corev1.ServiceAccountRootCAKey]) != string(l.rootCA) {
		return errors.New("the Secret lacks the namespace or the CA bundle")
	}
	identity, err := l.authenticator.Authenticate(ctx, string(data[corev1.ServiceAccountTokenKey]))
	if err != nil {
		return err
	}
	if identity.Namespace != namespace || identity.Name != "default" || identity.UID != accounts.Items[0].UID {
		return fmt.Errorf("the token is one of %s/%s", identity.Namespace, identity.Name)
	}
	return nil
}

// remove does what the namespace controller would, which doesn't run.
func (l *loadTest) remove(ctx context.Context, namespace string) error {
	core := l.client.CoreV1()
	for _, err := range []error{
		core.Secrets(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
		core.ServiceAccounts(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
		core.Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}),
	} {
		if err != nil {
			return err
		}
	}
	ns, err := core.Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ns.Spec.Finalizers = nil
	_, err = core.Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	return err
}
