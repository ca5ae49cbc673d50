package controlplane_test

import (
	"context"
	"crypto"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
)

func TestStartAndStop(t *testing.T) {
	// The folder of the control plane is made in this one.
	t.Setenv("TMPDIR", t.TempDir())
	key, err := keys.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	server, err := controlplane.Start(t.Context(), controlplane.Config{
		Issuer:     "https://issuer.example",
		Audiences:  []string{"api"},
		SigningKey: key,
		PublicKeys: []crypto.PublicKey{key.Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })

	clients, err := kubernetes.NewForConfig(server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Errorf("the admin can't read: %v", err)
	}
	out, err := server.Kubectl(t.Context(), "version")
	if err != nil {
		t.Error(err)
	}
	if got := strings.Count(out, "v1.37.2"); got != 2 {
		t.Errorf("kubectl version says\n%s\nwant v1.37.2 for the client and the server", out)
	}
	if out, err := server.Kubectl(t.Context(), "get", "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("kubectl get nonsense = %q, %v, want an error with what kubectl says", out, err)
	}

	if err := server.Stop(); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("second Stop() = %v", err)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("after Stop the temporary folder has %v, %v, want nothing", left, err)
	}
	if _, err := clients.Discovery().ServerVersion(); err == nil {
		t.Error("the API server answers after Stop")
	}
}

func TestStartRefuses(t *testing.T) {
	if _, err := controlplane.Start(t.Context(), controlplane.Config{}); err == nil {
		t.Error("Start() without a configuration succeeded")
	}
}

func TestStartCancelled(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	key, err := keys.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = controlplane.Start(ctx, controlplane.Config{
		Issuer:     "https://issuer.example",
		Audiences:  []string{"api"},
		SigningKey: key,
		PublicKeys: []crypto.PublicKey{key.Public()},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start() = %v, want context.Canceled", err)
	}
	if left, err := os.ReadDir(tmp); len(left) != 0 && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary folder has %v, want nothing", left)
	}
}
