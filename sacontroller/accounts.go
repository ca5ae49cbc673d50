package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/tenant"
)

// A ServiceAccountsReader is what [ServiceAccounts] decides from. The package
// documentation says what every Reader and Client promises.
type ServiceAccountsReader interface {
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// A ServiceAccountsClient is what [ServiceAccounts] writes through.
type ServiceAccountsClient interface {
	CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)
}

// ServiceAccountsConfig configures [NewServiceAccounts].
type ServiceAccountsConfig struct {
	Reader ServiceAccountsReader // required; may be a cache
	Client ServiceAccountsClient // required

	// Accounts are the accounts that every active Namespace has, in the order
	// in which they are created. Empty means the one account "default".
	//
	// An account is created with the name, labels, annotations, secrets, image
	// pull secrets and automount setting given here; the namespace and every
	// other field are ignored. An account that exists is never changed.
	Accounts []corev1.ServiceAccount

	// Namespaces reports whether a Namespace gets the accounts. It must be a pure
	// function of the Namespace and must not change it. If nil, all do. It is
	// called for active Namespaces only.
	Namespaces func(*corev1.Namespace) bool
}

// ServiceAccounts is the controller that gives every active Namespace its
// ServiceAccounts, and creates those that are deleted again. It is safe for
// concurrent use and keeps no state.
type ServiceAccounts struct {
	reader   ServiceAccountsReader
	client   ServiceAccountsClient
	accounts []corev1.ServiceAccount
	selects  func(*corev1.Namespace) bool
}

var _ Controller = (*ServiceAccounts)(nil)

// NewServiceAccounts returns a ServiceAccounts controller, or an error naming every
// invalid field, each as a [*ConfigError]: also accounts whose name is repeated.
func NewServiceAccounts(cfg ServiceAccountsConfig) (*ServiceAccounts, error) {
	mistakes := configerror.List{Config: "sacontroller.ServiceAccountsConfig"}
	mistakes.Require("Reader", cfg.Reader, "a ServiceAccountsReader")
	mistakes.Require("Client", cfg.Client, "a ServiceAccountsClient")
	if len(cfg.Accounts) == 0 {
		cfg.Accounts = []corev1.ServiceAccount{{ObjectMeta: metav1.ObjectMeta{Name: "default"}}} // CST-2
	}
	seen := map[string]bool{}
	accounts := make([]corev1.ServiceAccount, len(cfg.Accounts))
	for i := range cfg.Accounts {
		name := cfg.Accounts[i].Name
		field := fmt.Sprintf("Accounts[%d].Name", i)
		if !names.Valid(name) {
			mistakes.Add(field, "is %q, want a lower case DNS subdomain", name)
		}
		if seen[name] {
			mistakes.Add(field, "is %q again, want each name once", name)
		}
		seen[name] = true
		cfg.Accounts[i].DeepCopyInto(&accounts[i])
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return &ServiceAccounts{reader: cfg.Reader, client: cfg.Client, accounts: accounts, selects: cfg.Namespaces}, nil
}

// Name returns "serviceaccount-controller".
func (c *ServiceAccounts) Name() string { return "serviceaccount-controller" } // CST-20

// Due returns the key of a Namespace that was added or modified, or that a
// ServiceAccount of any name was deleted from.
func (c *ServiceAccounts) Due(change Change) []Key {
	switch object := change.Object.(type) {
	case *corev1.Namespace:
		if object != nil && object.Name != "" && (change.Type == watch.Added || change.Type == watch.Modified) {
			return []Key{{Tenant: change.Tenant, Kind: kindNamespace, Name: object.Name}} // SAC-2
		}
	case *corev1.ServiceAccount:
		if object != nil && object.Namespace != "" && change.Type == watch.Deleted {
			return []Key{{Tenant: change.Tenant, Kind: kindNamespace, Name: object.Namespace}}
		}
	}
	return nil
}

// Reconcile creates the accounts that the Namespace of key lacks. A Namespace
// that doesn't exist, is not active or is not selected gets none. It tries to
// create every account even if another can't be created; the error holds the
// error of each.
func (c *ServiceAccounts) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key.Kind != kindNamespace || !names.ValidNamespace(key.Name) {
		return Result{}, nil
	}
	ctx = tenant.NewContext(ctx, key.Tenant)
	namespace, err := apicall.Namespace(ctx, "sacontroller", c.reader.GetNamespace, key.Name)
	if err != nil {
		return Result{}, err
	}
	if namespace == nil || !isActive(namespace) || c.selects != nil && !c.selects(namespace) {
		return Result{}, nil // SAC-3
	}
	var missing []*corev1.ServiceAccount
	for i := range c.accounts {
		account, err := apicall.Get(ctx, "sacontroller", c.reader.GetServiceAccount, key.Name, c.accounts[i].Name)
		if err != nil {
			// SAC-8: a reader that can't answer says nothing of the accounts
			// that follow, so those missing so far are all there is to do.
			return Result{}, errors.Join(append(c.create(ctx, missing, apicall.SaysTerminating), err)...)
		}
		if account == nil {
			missing = append(missing, newAccount(&c.accounts[i], key.Name))
		}
	}
	errs := c.create(ctx, missing, apicall.SaysTerminating)
	err = errors.Join(errs...)
	if err != nil && !slices.ContainsFunc(errs, func(err error) bool { return !apicall.Permanent(err) }) {
		err = &TerminalError{Err: err}
	}
	return Result{}, err
}

// Ensure creates the accounts in namespace at once, without asking the Reader,
// and returns nil only if every one of them exists. Call it right after a
// Namespace is created, before pods are: they are then never denied because their
// account doesn't exist yet. It considers neither the Namespace's phase nor
// [ServiceAccountsConfig.Namespaces]. Its error wraps those of the API; try again
// unless the Namespace doesn't exist (NotFound) or is being deleted (Forbidden,
// with cause NamespaceTerminating).
func (c *ServiceAccounts) Ensure(ctx context.Context, namespace string) error {
	if !names.ValidNamespace(namespace) {
		return fmt.Errorf("sacontroller: a Namespace can't be called %s", names.Quote(namespace))
	}
	accounts := make([]*corev1.ServiceAccount, len(c.accounts))
	for i := range c.accounts {
		accounts[i] = newAccount(&c.accounts[i], namespace)
	}
	return errors.Join(c.create(ctx, accounts, nil)...)
}

// create creates accounts in order. An account that exists already is a success
// (SAC-9), and so is an error that ignore accepts; the others are returned (SAC-11).
func (c *ServiceAccounts) create(ctx context.Context, accounts []*corev1.ServiceAccount, ignore func(error) bool) []error {
	var errs []error
	for _, account := range accounts {
		_, err := contract.Require(c.client.CreateServiceAccount(ctx, account))
		if err == nil || apierrors.IsAlreadyExists(err) || ignore != nil && ignore(err) {
			continue
		}
		errs = append(errs, fmt.Errorf("sacontroller: creating ServiceAccount %s/%s: %w", account.Namespace, account.Name, err))
	}
	return errs
}

// isActive reports whether namespace is one that gets accounts: it is active and
// not being deleted (SAC-5).
func isActive(namespace *corev1.Namespace) bool {
	return namespace.Status.Phase == corev1.NamespaceActive && namespace.DeletionTimestamp == nil
}

// newAccount returns the account that template describes, in namespace.
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
