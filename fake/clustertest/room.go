package clustertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A room is where one promise is checked: a Cluster, and a namespace that
// nobody else uses. Its methods and the functions below end the check when
// something is not as it should be.
type room struct {
	ctx       context.Context
	cluster   Cluster
	namespace string
	opened    []string // the namespaces to delete in the end
	nodes     []string // and the nodes
}

// failure is what ends a check: a panic that doesn't leave this package.
type failure struct{ err error }

// attempt returns what do failed with, or nil.
func attempt(do func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = p.err
		default:
			panic(p)
		}
	}()
	do()
	return nil
}

// failf ends the check.
func (r *room) failf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)})
}

// newNamespace creates one more namespace and returns its name.
func (r *room) newNamespace() string {
	ns := create(r, Cluster.CreateNamespace, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "clustertest-"}})
	r.opened = append(r.opened, ns.Name)
	return ns.Name
}

// leave deletes what the check has left in the cluster, as well as it can.
func (r *room) leave() {
	for _, name := range r.opened {
		_ = r.cluster.DeleteNamespace(r.ctx, name, metav1.DeleteOptions{})
	}
	for _, name := range r.nodes {
		_ = r.cluster.DeleteNode(r.ctx, name, metav1.DeleteOptions{})
	}
}

// meta returns the metadata of an object in the room.
func (r *room) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: r.namespace, Name: name}
}

func (r *room) secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: r.meta(name), Data: map[string][]byte{"key": []byte("value")}}
}

func (r *room) account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: r.meta(name)}
}

func (r *room) configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: r.meta(name), Data: map[string]string{"key": "value"}}
}

func (r *room) tokenSecret(name, account string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: r.meta(name), Type: corev1.SecretTypeServiceAccountToken}
	secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: account}
	return secret
}

// pod returns a pod of the account "builder", which has to exist where the
// ServiceAccount admission plugin is on.
func (r *room) pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: r.meta(name), Spec: corev1.PodSpec{
		ServiceAccountName: "builder",
		Containers:         []corev1.Container{{Name: "main", Image: "busybox"}},
	}}
}

// create does a call that must succeed: a create or an update.
func create[P pointer[T], T any](r *room, call func(Cluster, context.Context, P) (P, error), sent P) P {
	got, err := call(r.cluster, r.ctx, sent)
	return answer(r, fmt.Sprintf("write of %T %s", sent, nameOf(sent)), got, err)
}

// update is create under the name that says what it does.
func update[P pointer[T], T any](r *room, call func(Cluster, context.Context, P) (P, error), sent P) P {
	return create(r, call, sent)
}

// get reads an object of the room that must be there.
func get[P pointer[T], T any](r *room, call func(Cluster, context.Context, string, string) (P, error), name string) P {
	got, err := call(r.cluster, r.ctx, r.namespace, name)
	return answer(r, fmt.Sprintf("get of %T %s", got, name), got, err)
}

// answer fails unless there is one.
func answer[P pointer[T], T any](r *room, what string, got P, err error) P {
	if err != nil {
		r.failf("%s: %w", what, err)
	}
	if got == nil {
		r.failf("%s: got neither an object nor an error", what)
	}
	return got
}

// names returns the names of the objects in a list that must succeed.
func names[P pointer[T], T any](r *room, what string, list []P, err error) []string {
	if err != nil {
		r.failf("%s: %w", what, err)
	}
	found := make([]string, 0, len(list))
	for _, o := range list {
		if o == nil {
			r.failf("%s: got a list with a nil object in it", what)
		}
		found = append(found, o.GetName())
	}
	return found
}

// done fails if there is an error.
func (r *room) done(what string, err error) {
	if err != nil {
		r.failf("%s: %w", what, err)
	}
}

// A rejection is the Status of an error that a call must return.
type rejection struct {
	reason     metav1.StatusReason
	kind, name string // of the details; "" for any
}

// code returns the HTTP status code that belongs to a reason.
func code(reason metav1.StatusReason) int32 {
	switch reason {
	case metav1.StatusReasonBadRequest:
		return http.StatusBadRequest
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonNotFound:
		return http.StatusNotFound
	case metav1.StatusReasonAlreadyExists, metav1.StatusReasonConflict:
		return http.StatusConflict
	case metav1.StatusReasonUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case metav1.StatusReasonInvalid:
		return http.StatusUnprocessableEntity
	}
	return 0
}

// rejected fails unless err is the rejection that is wanted, and returns its
// Status.
func (r *room) rejected(what string, err error, want rejection) metav1.Status {
	if err == nil {
		r.failf("%s: it succeeded, want %s", what, want.reason)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		r.failf("%s: %w", what, err)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		r.failf("%s: got an error without a Status (%v), want %s", what, err, want.reason)
	}
	got := status.Status()
	if got.Reason != want.reason || got.Code != code(want.reason) {
		r.failf("%s: got %d %s (%v), want %d %s", what, got.Code, got.Reason, err, code(want.reason), want.reason)
	}
	if want.kind == "" {
		return got
	}
	if d := got.Details; d == nil || d.Kind != want.kind || d.Name != want.name || d.Group != "" {
		r.failf("%s: the details of the error (%v) are %+v, want kind %q and name %q", what, err, d, want.kind, want.name)
	}
	return got
}

// invalid fails unless err is a 422 about kind and name with this cause.
func (r *room) invalid(what string, err error, kind, name string, cause metav1.CauseType, field string) {
	got := r.rejected(what, err, rejection{metav1.StatusReasonInvalid, kind, name})
	if !slices.ContainsFunc(got.Details.Causes, func(c metav1.StatusCause) bool { return c.Type == cause && c.Field == field }) {
		r.failf("%s: the causes of the error are %+v, want %s at %s", what, got.Details.Causes, cause, field)
	}
}

// newer fails unless after has a larger resourceVersion than before.
func (r *room) newer(what string, after, before metav1.Object) {
	if revision(r, after) <= revision(r, before) {
		r.failf("%s: resourceVersion %s follows %s, want a larger one", what, after.GetResourceVersion(), before.GetResourceVersion())
	}
}

// revision reads a resourceVersion, which is a decimal number (KEP-5504).
func revision(r *room, o metav1.Object) uint64 {
	n, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil || n == 0 {
		r.failf("%s has resourceVersion %q, want a positive decimal number", o.GetName(), o.GetResourceVersion())
	}
	return n
}
