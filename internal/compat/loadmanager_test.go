package compat

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// A side is a program that runs the two controllers.
type side string

// What is compared. They run one after the other, never at once.
const (
	upstreamSide side = "upstream"
	ourSide      side = "ours"
)

var sides = []side{upstreamSide, ourSide}

// A loadTest is a real API server, and the programs that are compared on it.
type loadTest struct {
	server        *controlplane.ControlPlane
	client        *kubernetes.Clientset // for protobuf, as the controllers' users mostly are
	issuer        *tokenissuer.Issuer
	authenticator *tokens.Authenticator

	rootCA          []byte // of Secrets
	keyFile, caFile string
	programs        map[side]string
}

// startLoadTest starts the API server and builds the programs. The tokens and the
// CA bundle of Secrets are as large as those that kubeadm makes: of RSA, 2048 bits.
func startLoadTest(t *testing.T) *loadTest {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the processes are measured with Linux's /proc")
	}
	key := must(keys.Generate(keys.RS256))
	server, err := controlplane.Start(t.Context(), controlplane.Config{
		Issuer: testIssuer, Audiences: []string{"api"}, SigningKey: key, PublicKeys: []crypto.PublicKey{key.Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	config := server.Admin()
	config.ContentType = "application/vnd.kubernetes.protobuf"
	dir := t.TempDir()
	l := &loadTest{
		server: server, client: must(kubernetes.NewForConfig(config)),
		issuer:  must(tokenissuer.New(tokenissuer.Config{Issuer: testIssuer, Signer: must(keys.NewSigner(key))})),
		rootCA:  rsaCertificate(),
		keyFile: filepath.Join(dir, "sa.key"), caFile: filepath.Join(dir, "ca.crt"),
		programs: map[side]string{upstreamSide: filepath.Join(dir, "upstreammanager"), ourSide: filepath.Join(dir, "serviceaccount-manager")},
	}
	objects := serviceaccount.FromCoreV1(l.client.CoreV1())
	l.authenticator = must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Legacy: true, Keys: must(keys.NewSet(key.Public())), APIAudiences: []string{"api"}, ServiceAccounts: objects, Secrets: objects,
	}))
	for name, data := range map[string][]byte{l.keyFile: must(keys.EncodePrivateKey(key)), l.caFile: l.rootCA} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, build := range [][]string{
		{"build", "-o", l.programs[upstreamSide], "./cmd/upstreammanager"},
		{"build", "-C", managerModule, "-o", l.programs[ourSide], "./cmd/serviceaccount-manager"},
	} {
		if out, err := exec.CommandContext(t.Context(), "go", build...).CombinedOutput(); err != nil {
			t.Fatalf("building a program: %v\n%s", err, out)
		}
	}
	l.addSystemAccounts(t)
	return l
}

// rsaCertificate returns the certificate of an authority, as PEM.
func rsaCertificate() []byte {
	key := must(keys.Generate(keys.RS256))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"}, DNSNames: []string{"kubernetes"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// addSystemAccounts makes what the first program that runs would make in the
// namespaces of the API server.
func (l *loadTest) addSystemAccounts(t *testing.T) {
	t.Helper()
	core := l.client.CoreV1()
	for _, namespace := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		waitFor(t, patience, "namespace "+namespace, func(ctx context.Context) []string {
			if _, err := core.Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
				return []string{err.Error()}
			}
			return nil
		})
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
		if _, err := core.ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// each calls f for 0 to n-1 from several goroutines at once, and stops at the first
// error.
func each(ctx context.Context, goroutines, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// loadQPS is a rate limit that is never reached: with the default one, that of
// kube-controller-manager, the limit would be measured and not the program.
const loadQPS = 2000

// A managerProcess is a program of one side that runs behind a countingProxy.
type managerProcess struct {
	cmd     *exec.Cmd
	proxy   *countingProxy
	started time.Time
	address string
	ended   chan error
}

// start starts the program of s, which has to be stopped before the next one is
// started.
func (l *loadTest) start(t *testing.T, s side) *managerProcess {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	address := listener.Addr().String()
	listener.Close()
	m := &managerProcess{proxy: newCountingProxy(t, l.server.Admin()), address: address, ended: make(chan error, 1)}
	args := []string{
		"--kubeconfig=" + m.proxy.kubeconfig, "--service-account-private-key-file=" + l.keyFile, "--root-ca-file=" + l.caFile,
		fmt.Sprint("--kube-api-qps=", loadQPS), fmt.Sprint("--kube-api-burst=", loadQPS),
		"--concurrent-serviceaccount-token-syncs=5", "--http-bind-address=" + address,
	}
	if s == ourSide {
		args = append(args, "--leader-elect=false", "--controllers=serviceaccount-controller,serviceaccount-token-controller")
	}
	log := must(os.Create(filepath.Join(t.TempDir(), string(s)+".log")))
	m.cmd = exec.Command(l.programs[s], args...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.started = time.Now()
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		m.ended <- m.cmd.Wait()
		log.Close()
	}()
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		if data, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("the end of the log of %s:\n%s", s, data[max(0, len(data)-4000):])
		}
	})
	return m
}

// waitReady waits until the caches are filled, and returns how long that took from
// the start of the process.
func (m *managerProcess) waitReady(t *testing.T) time.Duration {
	t.Helper()
	m.wait(t, 10*time.Millisecond, "the caches to be filled", func() bool {
		resp, err := http.Get("http://" + m.address + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return time.Since(m.started)
}

// waitQuiet waits until the program makes no requests and uses next to no processor
// for a second, and returns when that second began, from the start of the process.
func (m *managerProcess) waitQuiet(t *testing.T) time.Duration {
	t.Helper()
	const quiet, idle = time.Second, 20 * time.Millisecond
	since, requests, busy := time.Now(), -1, time.Duration(0)
	m.wait(t, 50*time.Millisecond, "it to be quiet", func() bool {
		r, b := m.proxy.now().requests(), m.busy(t)
		if r != requests || b-busy > idle {
			since, requests, busy = time.Now(), r, b
		}
		return time.Since(since) >= quiet
	})
	return since.Sub(m.started)
}

// wait polls until done, or fails when the process ends.
func (m *managerProcess) wait(t *testing.T, every time.Duration, what string, done func() bool) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !done() {
		select {
		case err := <-m.ended:
			t.Fatalf("waiting for %s: the process has ended: %v", what, err)
		case <-timeout:
			t.Fatalf("waiting for %s took more than %v", what, patience)
		case <-tick.C:
		}
	}
}

// busy returns the processor time that the process has used so far.
func (m *managerProcess) busy(t *testing.T) time.Duration {
	t.Helper()
	data := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))))
	// The name, in parentheses, may hold anything; utime is the 12th field after it.
	fields := strings.Fields(data[strings.LastIndexByte(data, ')')+1:])
	const ticksPerSecond = 100 // USER_HZ, which is the same on every Linux that Go runs on
	ticks := must(strconv.Atoi(fields[11])) + must(strconv.Atoi(fields[12]))
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// memory returns a size in bytes from the process's status: VmRSS, or VmHWM, its
// greatest so far. Rusage.Maxrss wouldn't do: exec leaves that of the parent in it.
func (m *managerProcess) memory(t *testing.T, name string) int64 {
	t.Helper()
	data := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid)))
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return must(strconv.ParseInt(strings.Fields(value)[0], 10, 64)) << 10
		}
	}
	t.Fatalf("the process has no %s", name)
	return 0
}

// stop ends the process, which has to end by itself, and returns the processor
// time that it used.
func (m *managerProcess) stop(t *testing.T) time.Duration {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-m.ended:
		if err != nil {
			t.Errorf("the process ended badly: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the process didn't end within 30 seconds of a SIGTERM")
	}
	usage := m.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
