package apicall_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

var (
	secrets  = schema.GroupResource{Resource: "secrets"}
	errBoom  = errors.New("boom")
	notFound = apierrors.NewNotFound(secrets, "a")
)

// What comes again however often the same is written is permanent; what others can
// change isn't.
func TestPermanent(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "a", nil), true},
		{"wrapped", fmt.Errorf("x: %w", apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "a", nil)), true},
		{"too large", apierrors.NewRequestEntityTooLargeError("x"), true},
		{"too large for etcd", apierrors.NewInternalError(errors.New("etcdserver: request is too large")), true},
		{"too large for its client", apierrors.NewInternalError(errors.New("rpc error: trying to send message larger than max (3 vs. 2)")), true},
		{"forbidden", apierrors.NewForbidden(secrets, "a", errBoom), false},
		{"conflict", apierrors.NewConflict(secrets, "a", errBoom), false},
		{"any other", errBoom, false},
	} {
		if got := apicall.Permanent(tt.err); got != tt.want {
			t.Errorf("%s: Permanent() = %t, want %t", tt.name, got, tt.want)
		}
		if tt.err == nil {
			continue
		}
		err := apicall.WriteError(tt.err, "updating Secret %s", "a/b")
		terminal, ok := errors.AsType[*apicall.TerminalError](err)
		if ok != tt.want || ok && terminal.Error() != err.Error() || !errors.Is(err, tt.err) || err.Error() != "updating Secret a/b: "+tt.err.Error() {
			t.Errorf("%s: WriteError() = %T %v, want it to be terminal: %t", tt.name, err, err, tt.want)
		}
	}
	err := apicall.Terminalf("no %s: %w", "token", errBoom)
	if _, ok := errors.AsType[*apicall.TerminalError](err); !ok || !errors.Is(err, errBoom) || err.Error() != "no token: boom" {
		t.Errorf("Terminalf() = %T %v", err, err)
	}
}

func TestReverted(t *testing.T) {
	err := apicall.Reverted("rootca", types.NamespacedName{Namespace: "shop", Name: "a"}, 40*time.Second+time.Millisecond)
	const want = "rootca: shop/a is being reverted by another writer, want it to stop; the next attempt is in 40s"
	if e, ok := errors.AsType[*apicall.PauseError](err); !ok || e.Wait != 40*time.Second+time.Millisecond || err.Error() != want {
		t.Errorf("Reverted() = %v, want %s", err, want)
	}
}

// SAC-10
func TestTerminating(t *testing.T) {
	now := metav1.Now()
	for _, tt := range []struct {
		name      string
		namespace corev1.Namespace
		want      bool
	}{
		{"active", corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}, false},
		{"deleted", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, true},
		{"in its last phase", corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}, true},
	} {
		if got := apicall.Terminating(&tt.namespace); got != tt.want {
			t.Errorf("%s: Terminating() = %t", tt.name, got)
		}
	}
	says := apierrors.NewForbidden(secrets, "a", errBoom)
	if apicall.SaysTerminating(says) {
		t.Error("SaysTerminating() of any refusal = true")
	}
	says.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	if !apicall.SaysTerminating(says) {
		t.Error("SaysTerminating() of that of a Namespace = false")
	}
}

// An object that doesn't exist is nil, a call that returns nothing is an error, and a name
// that no object can have reaches no call.
func TestGet(t *testing.T) {
	secret := &corev1.Secret{}
	for _, tt := range []struct {
		name           string
		namespace, key string
		object         *corev1.Secret
		err            error
		asked          bool
		want           *corev1.Secret
		problem        string
	}{
		{name: "there", namespace: "shop", key: "a", object: secret, asked: true, want: secret},
		{name: "not there", namespace: "shop", key: "a", err: notFound, asked: true},
		{name: "an object that isn't there", namespace: "shop", key: "a", object: secret, err: notFound, asked: true},
		{name: "no such name", namespace: "shop", key: "../a", object: secret},
		{name: "error", namespace: "shop", key: "a", object: secret, err: errBoom, asked: true, problem: "legacytoken: reading Secret shop/a: boom"},
		{name: "error without a namespace", key: "a", err: errBoom, asked: true, problem: "legacytoken: reading Secret a: boom"},
		{name: "nothing", namespace: "shop", key: "a", asked: true, problem: "legacytoken: reading Secret shop/a: the call returned neither an object nor an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := false
			got, err := apicall.Get(t.Context(), "legacytoken", func(_ context.Context, namespace, name string) (*corev1.Secret, error) {
				asked = namespace == tt.namespace && name == tt.key
				return tt.object, tt.err
			}, tt.namespace, tt.key)
			if got != tt.want || asked != tt.asked || (err != nil) != (tt.problem != "") || err != nil && err.Error() != tt.problem {
				t.Errorf("Get() = %p, %v; asked: %t; want %p, %s", got, err, asked, tt.want, tt.problem)
			}
			if tt.err == errBoom && !errors.Is(err, errBoom) {
				t.Errorf("Get() = %v, which doesn't wrap the error", err)
			}
		})
	}
	_, err := apicall.Namespace(t.Context(), "rootca", func(_ context.Context, name string) (*corev1.Namespace, error) {
		return nil, errors.New(name)
	}, "shop")
	if want := "rootca: reading Namespace shop: shop"; err == nil || err.Error() != want {
		t.Errorf("Namespace() = %v, want %s", err, want)
	}
	if all, err := apicall.RequireAll([]*corev1.Secret{secret}, nil); len(all) != 1 || err != nil {
		t.Errorf("RequireAll() = %v, %v", all, err)
	}
	if _, err := apicall.RequireAll([]*corev1.Secret{secret, nil}, nil); err == nil || !strings.Contains(err.Error(), "neither an object nor an error") {
		t.Errorf("RequireAll() of a nil = %v", err)
	}
	if _, err := apicall.RequireAll([]*corev1.Secret{nil}, errBoom); err != errBoom {
		t.Errorf("RequireAll() with an error = %v", err)
	}
}
