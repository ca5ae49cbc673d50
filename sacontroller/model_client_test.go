package sacontroller_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

// judgingClient is the Client of one replica of the model: it lets the model
// interfere before each call, and judges each write by what is stored before and
// after it, whatever the caller is told.
type judgingClient struct {
	*fake.Cluster
	w    *model
	r    *replica
	read map[types.UID]bool // Secrets read live or created in this attempt
}

func (c *judgingClient) stored(namespace, name string) *corev1.Secret {
	s, err := c.w.truth.GetSecret(context.Background(), namespace, name)
	if err != nil {
		return nil
	}
	return s
}

func (c *judgingClient) account(namespace, name string) *corev1.ServiceAccount {
	a, err := c.w.truth.GetServiceAccount(context.Background(), namespace, name)
	if err != nil {
		return nil
	}
	return a
}

// frozen is S5: this replica knows that the Namespace is being deleted.
func (c *judgingClient) frozen(write, namespace string) {
	if ns, ok := c.r.view.kinds[viewNamespaces]["/"+namespace].(*corev1.Namespace); ok && ns.Status.Phase != corev1.NamespaceActive {
		c.w.fail("S5: %s in Namespace %s, which is known to be %s", write, namespace, ns.Status.Phase)
	}
}

func (c *judgingClient) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	c.w.beforeCall()
	return c.Cluster.GetServiceAccount(ctx, namespace, name)
}

func (c *judgingClient) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	c.w.beforeCall()
	s, err := c.Cluster.GetSecret(ctx, namespace, name)
	if err == nil {
		c.read[s.UID] = true
	}
	return s, err
}

func (c *judgingClient) CreateSecret(ctx context.Context, sent *corev1.Secret) (*corev1.Secret, error) {
	c.w.beforeCall()
	c.frozen("create secret", sent.Namespace)
	before := c.stored(sent.Namespace, sent.Name)
	created, err := c.Cluster.CreateSecret(ctx, sent)
	if after := c.stored(sent.Namespace, sent.Name); before == nil && after != nil {
		c.w.generated[after.UID] = true
		c.read[after.UID] = true
		if !c.w.auto {
			c.w.fail("Secret %s/%s was created without AutoGenerate", sent.Namespace, sent.Name)
		}
		c.w.judgeToken(c.r, after)
	}
	return created, err
}

func (c *judgingClient) UpdateSecret(ctx context.Context, sent *corev1.Secret) (*corev1.Secret, error) {
	c.w.beforeCall()
	c.frozen("update secret", sent.Namespace)
	before := c.stored(sent.Namespace, sent.Name)
	if before != nil && before.ResourceVersion == sent.ResourceVersion && equality.Semantic.DeepEqual(before, sent) {
		c.w.fail("S6: an update of Secret %s/%s changes nothing", sent.Namespace, sent.Name)
	}
	updated, err := c.Cluster.UpdateSecret(ctx, sent)
	after := c.stored(sent.Namespace, sent.Name)
	if before == nil || after == nil || before.ResourceVersion == after.ResourceVersion {
		return updated, err
	}
	if before.DeletionTimestamp != nil {
		c.w.fail("S5: Secret %s/%s was updated while it is being deleted", sent.Namespace, sent.Name)
	}
	// S3: with what the controller may write taken away, nothing has changed.
	was, is := before.DeepCopy(), after.DeepCopy()
	for _, key := range []string{"token", "namespace"} {
		if len(was.Data[key]) == 0 {
			delete(is.Data, key)
			delete(was.Data, key)
		}
	}
	for _, s := range []*corev1.Secret{was, is} {
		delete(s.Data, "ca.crt")
		s.ResourceVersion = ""
		if before.Annotations[corev1.ServiceAccountUIDKey] == "" {
			delete(s.Annotations, corev1.ServiceAccountUIDKey)
		}
	}
	if !equality.Semantic.DeepEqual(was, is) {
		c.w.fail("S3: an update of Secret %s/%s touched what it must not:\n%s", sent.Namespace, sent.Name, cmp.Diff(was, is))
	}
	c.w.judgeToken(c.r, after)
	return updated, err
}

// judgeToken is S2: secret, just written, names an account that the replica knew
// or that exists, by name and UID.
func (w *model) judgeToken(r *replica, secret *corev1.Secret) {
	name, id := secret.Annotations[corev1.ServiceAccountNameKey], types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])
	known, _ := r.view.kinds[viewAccounts][secret.Namespace+"/"+name].(*corev1.ServiceAccount)
	live, _ := w.truth.GetServiceAccount(context.Background(), secret.Namespace, name)
	if secret.Type != corev1.SecretTypeServiceAccountToken || (known == nil || known.UID != id) && (live == nil || live.UID != id) && !w.interfered {
		w.fail("S2: a token was written to Secret %s/%s of type %s for account %s with UID %s, which is unknown", secret.Namespace, secret.Name, secret.Type, name, id)
	}
}

func (c *judgingClient) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	c.w.beforeCall()
	c.frozen("delete secret", namespace)
	if opts.Preconditions == nil || opts.Preconditions.UID == nil {
		c.w.fail("S1: delete of Secret %s/%s without a UID precondition", namespace, name)
	} else if !c.read[*opts.Preconditions.UID] {
		c.w.fail("S1: delete of Secret %s/%s, which was not read live in this attempt", namespace, name)
	}
	before := c.stored(namespace, name)
	err := c.Cluster.DeleteSecret(ctx, namespace, name, opts)
	after := c.stored(namespace, name)
	if before == nil || after != nil && after.UID == before.UID && after.DeletionTimestamp == nil || c.w.interfered {
		return err
	}
	owner := c.account(namespace, before.Annotations[corev1.ServiceAccountNameKey])
	id := types.UID(before.Annotations[corev1.ServiceAccountUIDKey])
	orphan := owner == nil || id != "" && id != owner.UID
	unlisted := owner == nil || !slices.ContainsFunc(owner.Secrets, func(r corev1.ObjectReference) bool { return r.Name == name })
	if !orphan && !(c.w.generated[before.UID] && unlisted) {
		c.w.fail("C05: Secret %s/%s was deleted, and its account exists", namespace, name)
	}
	return err
}

func (c *judgingClient) UpdateServiceAccount(ctx context.Context, sent *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	c.w.beforeCall()
	c.frozen("update account", sent.Namespace)
	before := c.account(sent.Namespace, sent.Name)
	if before != nil && before.ResourceVersion == sent.ResourceVersion && equality.Semantic.DeepEqual(before, sent) {
		c.w.fail("S6: an update of account %s/%s changes nothing", sent.Namespace, sent.Name)
	}
	updated, err := c.Cluster.UpdateServiceAccount(ctx, sent)
	after := c.account(sent.Namespace, sent.Name)
	if before == nil || after == nil || before.ResourceVersion == after.ResourceVersion {
		return updated, err
	}
	if before.DeletionTimestamp != nil {
		c.w.fail("S5: account %s/%s was updated while it is being deleted", sent.Namespace, sent.Name)
	}
	was, is := before.DeepCopy(), after.DeepCopy()
	was.Secrets, is.Secrets, was.ResourceVersion, is.ResourceVersion = nil, nil, "", ""
	if !equality.Semantic.DeepEqual(was, is) {
		c.w.fail("S3: an update of account %s/%s touched what it must not:\n%s", sent.Namespace, sent.Name, cmp.Diff(was, is))
	}
	have, had := names(after), names(before)
	for name := range had {
		if !have[name] && c.stored(sent.Namespace, name) != nil && !c.w.interfered {
			c.w.fail("S4: account %s/%s lost its reference to Secret %s, which exists", sent.Namespace, sent.Name, name)
		}
	}
	for name := range have {
		// After a crash only the form of the name tells a generated Secret.
		if s := c.stored(sent.Namespace, name); !had[name] && !c.w.interfered && (s == nil || !c.w.generated[s.UID] && !strings.Contains(name, "-token-")) {
			c.w.fail("account %s/%s got a reference to Secret %s, which is not a generated one", sent.Namespace, sent.Name, name)
		}
	}
	return updated, err
}

func names(a *corev1.ServiceAccount) map[string]bool {
	m := map[string]bool{}
	for _, r := range a.Secrets {
		m[r.Name] = true
	}
	return m
}

func (c *judgingClient) CreateServiceAccount(ctx context.Context, sent *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	c.w.beforeCall()
	c.frozen("create account", sent.Namespace)
	return c.Cluster.CreateServiceAccount(ctx, sent)
}

func (c *judgingClient) CreateConfigMap(ctx context.Context, sent *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	c.w.beforeCall()
	c.frozen("create configmap", sent.Namespace)
	c.judgeCA(sent)
	return c.Cluster.CreateConfigMap(ctx, sent)
}

func (c *judgingClient) UpdateConfigMap(ctx context.Context, sent *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	c.w.beforeCall()
	c.frozen("update configmap", sent.Namespace)
	c.judgeCA(sent)
	return c.Cluster.UpdateConfigMap(ctx, sent)
}

// judgeCA is S8.
func (c *judgingClient) judgeCA(sent *corev1.ConfigMap) {
	if !maps.Equal(sent.Data, map[string]string{"ca.crt": "CA Data"}) {
		c.w.fail("S8: published %v", sent.Data)
	}
}

// fail notes the first thing that went wrong.
func (w *model) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}
