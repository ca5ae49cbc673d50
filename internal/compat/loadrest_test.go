package compat

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// accountsPerNamespace is how many accounts a namespace of TestAtRest has.
const accountsPerNamespace = 100

// TestAtRest starts upstream's controllers and ours, in turns, on an API server
// that has many accounts, each with a token Secret that lacks nothing: what a restart
// costs, and how much memory it takes to do nothing. Nothing may be written.
func TestAtRest(t *testing.T) {
	n, runs := generate.Count(200, 50_000), max(generate.Count(1, 2), 1)
	// A program that does nothing collects its garbage after two minutes, and only
	// then gives memory back.
	rest := time.Duration(generate.Count(0, 150)) * time.Second
	l := startLoadTest(t)

	empty := map[side]int64{}
	for _, s := range sides {
		m := l.start(t, s)
		m.waitReady(t)
		m.rest(t, m.waitQuiet(t)+rest)
		empty[s] = m.memory(t, "VmRSS")
		m.stop(t)
	}
	start := time.Now()
	namespaces := (n + accountsPerNamespace - 1) / accountsPerNamespace
	if err := each(t.Context(), loadClients, namespaces, func(ctx context.Context, i int) error {
		return l.fill(ctx, fmt.Sprintf("rest-%d", i), min(accountsPerNamespace, n-i*accountsPerNamespace))
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("it took %.0f s to make %d accounts and as many Secrets", time.Since(start).Seconds(), n)

	report := &loadReport{columns: []loadColumn{
		{"synced/s", "%.2f", 0}, {"quiet/s", "%.2f", 1.0}, {"requests", "%.0f", 0}, {"cpu/s", "%.2f", 0},
		{"received/MB", "%.1f", 0}, {"peak memory/MB", "%.1f", 0}, {"memory at rest/MB", "%.1f", 0.45}, {"bytes/object", "%.0f", 0},
	}}
	for range runs {
		for _, s := range sides {
			m := l.start(t, s)
			synced := m.waitReady(t)
			quiet := m.waitQuiet(t)
			m.rest(t, quiet+rest)
			traffic, memory, peak := m.proxy.now(), m.memory(t, "VmRSS"), m.memory(t, "VmHWM")
			busy := m.stop(t)
			report.add(s, fmt.Sprint(traffic.verbs, traffic.contentTypes),
				synced.Seconds(), quiet.Seconds(), float64(traffic.requests()), busy.Seconds(),
				float64(traffic.bytes)/1e6, float64(peak)/1e6, float64(memory)/1e6, float64(memory-empty[s])/float64(2*n+namespaces))
			if writes := traffic.writes(); writes > 0 {
				t.Errorf("%s: %d writes in a world that is in order: %v", s, writes, traffic.verbs)
			}
		}
	}
	t.Logf("%d accounts, each with a filled token Secret, in %d namespaces; without any, memory at rest is %.1f MB upstream and %.1f MB ours\n%s",
		n, namespaces, float64(empty[upstreamSide])/1e6, float64(empty[ourSide])/1e6, report)
}

// rest waits until the process is of an age.
func (m *managerProcess) rest(t *testing.T, age time.Duration) {
	t.Helper()
	m.wait(t, 100*time.Millisecond, "it to rest", func() bool { return time.Since(m.started) >= age })
}

// fill makes a namespace with n accounts, one of them called default, and the token
// Secret of each as the controllers would leave it.
func (l *loadTest) fill(ctx context.Context, namespace string, n int) error {
	core := l.client.CoreV1()
	if _, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for i := range n {
		name := "default"
		if i > 0 {
			name = fmt.Sprintf("account-%d", i)
		}
		account, err := core.ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-token", Namespace: namespace, Annotations: map[string]string{
				corev1.ServiceAccountNameKey: name, corev1.ServiceAccountUIDKey: string(account.UID),
			}},
			Type: corev1.SecretTypeServiceAccountToken,
		}
		token, err := l.issuer.IssueLegacy(ctx, account, secret)
		if err != nil {
			return err
		}
		secret.Data = map[string][]byte{
			corev1.ServiceAccountRootCAKey:    l.rootCA,
			corev1.ServiceAccountNamespaceKey: []byte(namespace),
			corev1.ServiceAccountTokenKey:     []byte(token),
		}
		if _, err := core.Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
