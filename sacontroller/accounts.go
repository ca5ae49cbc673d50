package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/watch"
)

// ServiceAccountsConfig configures [NewServiceAccounts].
type ServiceAccountsConfig struct {
	Reader ServiceAccountsReader // required; may be a cache
	Client ServiceAccountsClient // required

	// Accounts are the accounts that every active Namespace has, in the order
	// in which they are created. Empty means the one account "default" (SAC-1).
	//
	// An account is created with the name, labels, annotations, secrets, image
	// pull secrets and automount setting given here; the namespace and every
	// other field are ignored. An account that exists is never changed (SAC-6).
	Accounts []corev1.ServiceAccount

	// Namespaces says which Namespaces get the accounts. It must be a pure
	// function of the Namespace and must not change it. If nil, all do. Only
	// active Namespaces are asked about.
	Namespaces func(*corev1.Namespace) bool
}

// ServiceAccounts is the controller that gives every active Namespace its
// ServiceAccounts, and gives them back when they are deleted (SAC-1..15).
// It is safe for concurrent use and keeps no state.
type ServiceAccounts struct {
	reader   ServiceAccountsReader
	client   ServiceAccountsClient
	accounts []corev1.ServiceAccount
	selects  func(*corev1.Namespace) bool
}

var _ Controller = (*ServiceAccounts)(nil)

// NewServiceAccounts returns a ServiceAccounts controller, or an error that
// names every mistake in cfg: a missing field, an account without a valid name,
// two accounts of one name.
func NewServiceAccounts(cfg ServiceAccountsConfig) (*ServiceAccounts, error) {
	var errs []error
	if cfg.Reader == nil {
		errs = append(errs, errors.New("sacontroller: ServiceAccountsConfig.Reader is nil, want a reader"))
	}
	if cfg.Client == nil {
		errs = append(errs, errors.New("sacontroller: ServiceAccountsConfig.Client is nil, want a client"))
	}
	if len(cfg.Accounts) == 0 {
		cfg.Accounts = []corev1.ServiceAccount{{ObjectMeta: metav1.ObjectMeta{Name: "default"}}} // CST-2
	}
	seen := map[string]bool{}
	accounts := make([]corev1.ServiceAccount, len(cfg.Accounts))
	for i := range cfg.Accounts {
		name := cfg.Accounts[i].Name
		if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
			errs = append(errs, fmt.Errorf("sacontroller: ServiceAccountsConfig.Accounts[%d] has the name %q, want a lower case DNS subdomain", i, name))
		}
		if seen[name] {
			errs = append(errs, fmt.Errorf("sacontroller: ServiceAccountsConfig.Accounts[%d] repeats the name %q, want each name once", i, name))
		}
		seen[name] = true
		cfg.Accounts[i].DeepCopyInto(&accounts[i])
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &ServiceAccounts{reader: cfg.Reader, client: cfg.Client, accounts: accounts, selects: cfg.Namespaces}, nil
}

// Name returns "serviceaccount-controller" (CST-20).
func (c *ServiceAccounts) Name() string { return "serviceaccount-controller" }

// Due returns the key of the Namespace that was added or changed, or whose
// ServiceAccount, of whatever name, was deleted (SAC-2).
func (c *ServiceAccounts) Due(event Event) []Key {
	switch object := event.Object.(type) {
	case *corev1.Namespace:
		if object != nil && object.Name != "" && (event.Type == watch.Added || event.Type == watch.Modified) {
			return []Key{{Kind: kindNamespace, Name: object.Name}}
		}
	case *corev1.ServiceAccount:
		if object != nil && object.Namespace != "" && event.Type == watch.Deleted {
			return []Key{{Kind: kindNamespace, Name: object.Namespace}}
		}
	}
	return nil
}

// Reconcile creates the accounts that the Namespace of key lacks. A Namespace
// that is unknown, not active or not selected gets none. Every account is
// attempted even if another can't be created; the error tells of all of them.
func (c *ServiceAccounts) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key.Kind != kindNamespace || key.Name == "" {
		return Result{}, nil
	}
	namespace, err := c.reader.GetNamespace(ctx, key.Name)
	if apierrors.IsNotFound(err) {
		return Result{}, nil // SAC-3
	}
	if err != nil {
		return Result{}, fmt.Errorf("sacontroller: reading Namespace %q: %w", key.Name, err)
	}
	if !WantsServiceAccounts(namespace) || c.selects != nil && !c.selects(namespace) {
		return Result{}, nil
	}
	var missing []*corev1.ServiceAccount
	for i := range c.accounts {
		_, err := c.reader.GetServiceAccount(ctx, key.Name, c.accounts[i].Name)
		if err != nil && !apierrors.IsNotFound(err) {
			// SAC-8: a reader that can't answer says nothing of the accounts
			// that follow, so those found missing so far are all there is to do.
			return Result{}, errors.Join(c.create(ctx, missing, saysTerminating),
				fmt.Errorf("sacontroller: reading ServiceAccount %q in Namespace %q: %w", c.accounts[i].Name, key.Name, err))
		}
		if err != nil {
			missing = append(missing, newAccount(&c.accounts[i], key.Name))
		}
	}
	return Result{}, c.create(ctx, missing, saysTerminating)
}

// Ensure creates the accounts in namespace at once, without asking the Reader,
// and returns nil only if every one of them exists. Call it right after a
// Namespace is created, before pods can be: they are then never refused for want
// of their account. It asks neither for the Namespace's phase nor for
// [ServiceAccountsConfig.Namespaces]. Its error holds those of the API; try
// again unless the Namespace is gone (NotFound) or going (Forbidden, with cause
// NamespaceTerminating).
func (c *ServiceAccounts) Ensure(ctx context.Context, namespace string) error {
	accounts := make([]*corev1.ServiceAccount, len(c.accounts))
	for i := range c.accounts {
		accounts[i] = newAccount(&c.accounts[i], namespace)
	}
	return c.create(ctx, accounts, nil)
}

// create creates accounts in order. An account that exists already is a success
// (SAC-9), and so is an error that ignore accepts; the others make one error
// (SAC-11).
func (c *ServiceAccounts) create(ctx context.Context, accounts []*corev1.ServiceAccount, ignore func(error) bool) error {
	var errs []error
	for _, account := range accounts {
		_, err := c.client.CreateServiceAccount(ctx, account)
		if err == nil || apierrors.IsAlreadyExists(err) || ignore != nil && ignore(err) {
			continue
		}
		errs = append(errs, err)
	}
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return createErrors(errs)
}

// createErrors are the errors of several creates, with the text that Kubernetes
// gives them. Unlike its aggregate they can be told apart: see errors.As.
type createErrors []error

func (e createErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

func (e createErrors) Unwrap() []error { return e }

// WantsServiceAccounts reports whether namespace is one that gets accounts: it
// is active and not being deleted (SAC-5).
func WantsServiceAccounts(namespace *corev1.Namespace) bool {
	return namespace.Status.Phase == corev1.NamespaceActive && namespace.DeletionTimestamp == nil
}

// newAccount returns the account that template describes, for namespace.
func newAccount(template *corev1.ServiceAccount, namespace string) *corev1.ServiceAccount {
	t := template.DeepCopy()
	return &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{
			Name:        t.Name,
			Namespace:   namespace,
			Labels:      t.Labels,
			Annotations: t.Annotations,
		},
		Secrets:                      t.Secrets,
		ImagePullSecrets:             t.ImagePullSecrets,
		AutomountServiceAccountToken: t.AutomountServiceAccountToken,
	}
}
