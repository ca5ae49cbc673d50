package tokensource

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/tokens"
)

// WaitOptions are the options of [WaitPopulated]. The zero value is valid.
type WaitOptions struct {
	// LastError, if set, returns why a controller last failed to fill the
	// Secret, nil if it didn't. The [NotPopulatedError] quotes it. For
	// sacontroller.Tokens it is its LastError.
	LastError func() error
}

// populatedGetter is what [WaitPopulated] reads with.
type populatedGetter interface {
	tokens.SecretGetter
	tokens.ServiceAccountGetter
}

// [WaitPopulated] polls with a pause that doubles, from the first to the longest.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
)

// A PopulatedReason says why a token Secret has no token.
type PopulatedReason string

// The reasons of a [NotPopulatedError].
const (
	PopulatedWrongType          PopulatedReason = "WrongType"          // not of the type of token Secrets, which can't be changed
	PopulatedSecretDeleted      PopulatedReason = "SecretDeleted"      // it was deleted meanwhile
	PopulatedNoSecret           PopulatedReason = "NoSecret"           // there is none of that name
	PopulatedSecretTerminating  PopulatedReason = "SecretTerminating"  // it is being deleted
	PopulatedNoAccountName      PopulatedReason = "NoAccountName"      // it doesn't name its account
	PopulatedInvalidName        PopulatedReason = "InvalidName"        // its name, or that of the account, is invalid
	PopulatedNoAccount          PopulatedReason = "NoAccount"          // the account that it names doesn't exist
	PopulatedAccountRecreated   PopulatedReason = "AccountRecreated"   // the account that it names has another UID
	PopulatedAccountTerminating PopulatedReason = "AccountTerminating" // the account is being deleted
	PopulatedPending            PopulatedReason = "Pending"            // nothing is wrong with it: no controller has filled it
	PopulatedUnavailable        PopulatedReason = "Unavailable"        // it or its account could not be read
)

// A NotPopulatedError says why [WaitPopulated] has no token Secret to return.
type NotPopulatedError struct {
	Namespace, Name string // of the Secret
	Reason          PopulatedReason

	// Account and Detail say more, for people.
	Account, Detail string

	// Err is the error of the context, unless waiting longer is of no use.
	Err error
}

func (e *NotPopulatedError) Error() string {
	text := fmt.Sprintf("tokensource: Secret %s/%s has no token: %s", e.Namespace, e.Name, e.text())
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *NotPopulatedError) text() string {
	switch e.Reason {
	case PopulatedWrongType:
		return fmt.Sprintf("its type is not %s", corev1.SecretTypeServiceAccountToken)
	case PopulatedSecretDeleted:
		return "it was deleted, as the token controller deletes those whose account doesn't exist"
	case PopulatedNoSecret:
		return "there is no such Secret"
	case PopulatedSecretTerminating:
		return "it is being deleted"
	case PopulatedNoAccountName:
		return fmt.Sprintf("it has no annotation %s", corev1.ServiceAccountNameKey)
	case PopulatedInvalidName:
		if e.Account != "" {
			return fmt.Sprintf("its annotation %s is %.256q, which is no name of a ServiceAccount", corev1.ServiceAccountNameKey, e.Account)
		}
		return "this is no name of a Secret"
	case PopulatedNoAccount:
		return fmt.Sprintf("there is no ServiceAccount %s/%s", e.Namespace, e.Account)
	case PopulatedAccountRecreated:
		return fmt.Sprintf("the ServiceAccount %s/%s is not the one that its annotation %s means", e.Namespace, e.Account, corev1.ServiceAccountUIDKey)
	case PopulatedAccountTerminating:
		return fmt.Sprintf("the ServiceAccount %s/%s is being deleted", e.Namespace, e.Account)
	case PopulatedUnavailable:
		return "it could not be looked up"
	default:
		return "no token controller has filled it"
	}
}

// Unwrap returns Err.
func (e *NotPopulatedError) Unwrap() error { return e.Err }

// WaitPopulated waits until the token Secret called name has a token of its
// account, and returns it; it belongs to the caller if what getter returns does.
// The Secret may be created meanwhile.
//
// Any error is a [*NotPopulatedError]. It comes when ctx is done, with the Reason
// that held then, or immediately if waiting can't help: if the Secret has
// another type or was deleted, if there can be none of that name, or if getter is nil.
func WaitPopulated(ctx context.Context, getter interface {
	tokens.SecretGetter
	tokens.ServiceAccountGetter
}, namespace, name string, opts WaitOptions) (*corev1.Secret, error) {
	if err := require("WaitPopulated", "getter", getter); err != nil {
		return nil, &NotPopulatedError{Namespace: namespace, Name: name, Reason: PopulatedUnavailable, Err: err}
	}
	seen := false
	var last *NotPopulatedError
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		secret, missing := readPopulated(ctx, getter, namespace, name)
		switch {
		case missing == nil:
			return secret, nil
		case missing.Reason == PopulatedUnavailable && ctx.Err() != nil && last != nil: // the read was cut short
			missing = last
		case missing.Reason == PopulatedNoSecret && seen:
			missing.Reason = PopulatedSecretDeleted
			return nil, missing
		case missing.Reason == PopulatedWrongType, missing.Reason == PopulatedInvalidName && secret == nil:
			return nil, missing
		}
		seen, last = seen || secret != nil, missing
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if opts.LastError != nil && missing.Reason == PopulatedPending {
				if err := opts.LastError(); err != nil {
					missing.Detail = err.Error()
				}
			}
			missing.Err = ctx.Err()
			return nil, missing
		}
	}
}

// readPopulated reads the Secret and its account once.
func readPopulated(ctx context.Context, getter populatedGetter, namespace, name string) (*corev1.Secret, *NotPopulatedError) {
	missing := &NotPopulatedError{Namespace: namespace, Name: name}
	if !names.ValidNamespace(namespace) || !names.Valid(name) {
		missing.Reason = PopulatedInvalidName
		return nil, missing
	}
	secret, err := contract.Require(getter.GetSecret(ctx, namespace, name))
	if err != nil {
		missing.Reason, missing.Detail = readFailure(err, PopulatedNoSecret)
		return nil, missing
	}
	missing.Account = secret.Annotations[corev1.ServiceAccountNameKey]
	if missing.Reason = secretReason(secret); missing.Reason != "" {
		return secret, missing
	}
	account, err := contract.Require(getter.GetServiceAccount(ctx, namespace, missing.Account))
	if err != nil {
		missing.Reason, missing.Detail = readFailure(err, PopulatedNoAccount)
		return secret, missing
	}
	if missing.Reason = accountReason(secret, account); missing.Reason != "" {
		return secret, missing
	}
	return secret, nil
}

// readFailure says what a getter means that returned err.
func readFailure(err error, notFound PopulatedReason) (PopulatedReason, string) {
	if apierrors.IsNotFound(err) {
		return notFound, ""
	}
	return PopulatedUnavailable, err.Error()
}

// secretReason says what keeps secret from being filled, as far as it tells
// itself; empty if nothing does.
func secretReason(secret *corev1.Secret) PopulatedReason {
	switch {
	case !tokensecret.Is(secret):
		return PopulatedWrongType
	case secret.DeletionTimestamp != nil:
		return PopulatedSecretTerminating
	case secret.Annotations[corev1.ServiceAccountNameKey] == "":
		return PopulatedNoAccountName
	case !names.Valid(secret.Annotations[corev1.ServiceAccountNameKey]):
		return PopulatedInvalidName
	}
	return ""
}

// accountReason says why secret, which names account, has no token of it; empty
// if it has one.
func accountReason(secret *corev1.Secret, account *corev1.ServiceAccount) PopulatedReason {
	switch {
	case account.DeletionTimestamp != nil:
		return PopulatedAccountTerminating
	case !tokensecret.BelongsTo(secret, account):
		return PopulatedAccountRecreated
	case secret.Annotations[corev1.ServiceAccountUIDKey] == "", len(secret.Data[corev1.ServiceAccountTokenKey]) == 0:
		return PopulatedPending
	}
	return ""
}
