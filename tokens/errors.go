package tokens

import (
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

var (
	// ErrNotRecognized means that the authenticator has no opinion on a token: it
	// isn't a JWT, or not of its issuers. Another authenticator
	// may know it; if there is none, it is rejected. The error that wraps it is a
	// [*NotRecognizedError].
	ErrNotRecognized = errors.New("tokens: token is not recognized")

	// ErrUnsupportedKind is what an [ObjectGetter] says of a kind that no token may
	// be bound to.
	ErrUnsupportedKind = errors.New("tokens: kind of objects that no token can be bound to")
)

// A Reason is a stable word for why a token isn't accepted, for programs,
// metrics and tests.
type Reason string

// The reasons.
const (
	// Of a [NotRecognizedError].
	ReasonMalformed     Reason = "Malformed"     // not a compact JWS of the accepted form
	ReasonForeignIssuer Reason = "ForeignIssuer" // no "iss", or one that isn't configured
	ReasonForeignUser   Reason = "ForeignUser"   // an API server knows the user, which is no ServiceAccount

	// Of an [InvalidError].
	ReasonUnknownKey     Reason = "UnknownKey"     // no key has the id that the token names
	ReasonSignature      Reason = "Signature"      // no key made the signature, or its algorithm is another
	ReasonTooManyKeys    Reason = "TooManyKeys"    // without a key id, and none of the keys that were tried made the signature
	ReasonMissingClaim   Reason = "MissingClaim"   // Subject says which
	ReasonInvalidClaim   Reason = "InvalidClaim"   // Subject says which
	ReasonAudience       Reason = "Audience"       // made for none of the audiences asked for
	ReasonNotYetValid    Reason = "NotYetValid"    // "nbf" is in the future
	ReasonExpired        Reason = "Expired"        // "exp" has passed
	ReasonIssuedInFuture Reason = "IssuedInFuture" // "iat" is in the future

	// What has happened to an object that the token depends on; Subject is
	// its kind. The text of the error is the same for the three.
	ReasonNotFound  Reason = "NotFound"  // there is none of that name
	ReasonRecreated Reason = "Recreated" // there is another of that name
	ReasonDeleted   Reason = "Deleted"   // it is being deleted

	ReasonUnsupported   Reason = "Unsupported"   // bound to a kind of object that can't be looked up here
	ReasonReplaced      Reason = "Replaced"      // the Secret holds another token
	ReasonSecretType    Reason = "SecretType"    // the Secret isn't a token Secret
	ReasonMarkedInvalid Reason = "MarkedInvalid" // the Secret has the label [InvalidSinceLabel]
	ReasonOtherCluster  Reason = "OtherCluster"  // of another cluster than is asked, see [ClusterClaim]
	ReasonPolicy        Reason = "Policy"        // against [AuthenticatorConfig.Policy]; Subject says which rule

	// What a TokenReview came to.
	ReasonRefused     Reason = "Refused"     // the API server doesn't accept the token
	ReasonInvalidUser Reason = "InvalidUser" // the user isn't what API servers report of ServiceAccounts; Subject says what

	// Of an [Event] whose error is an [UnavailableError].
	ReasonUnavailable Reason = "Unavailable"
)

// subjectKeys is the Subject of a failed lookup of keys.
const subjectKeys = "verification keys"

// subjectCluster is that of a cluster that can't be told.
const subjectCluster = "cluster"

// A ConfigError is one mistake in a configuration, such as [AuthenticatorConfig]. It
// has the fields Config, Field and Problem. Only another config helps.
type ConfigError = configerror.Error

// A NotRecognizedError wraps [ErrNotRecognized] and says why. It holds nothing
// of the token.
type NotRecognizedError struct {
	Reason Reason // ReasonMalformed, ReasonForeignIssuer or ReasonForeignUser
	Detail string
}

func (e *NotRecognizedError) Error() string {
	if e.Detail == "" {
		return ErrNotRecognized.Error()
	}
	return ErrNotRecognized.Error() + ": " + e.Detail
}

// Unwrap returns [ErrNotRecognized].
func (e *NotRecognizedError) Unwrap() error { return ErrNotRecognized }

// An InvalidError means that a token is from one of the authenticator's issuers but
// not valid: don't try another authenticator, and don't retry. Its text is safe to
// return to the client: it contains no part of the token, no name, no UID and no key
// ID. [AuthenticatorConfig.Observe] gets the details.
type InvalidError struct {
	Reason Reason
	// Subject is the claim, the kind of object or the rule that Reason is about,
	// if it is about one: "exp", "Pod", "lifetime". It is one of few fixed words.
	Subject string
}

func (e *InvalidError) Error() string { return "tokens: " + e.text() }

func (e *InvalidError) text() string {
	switch e.Reason {
	case ReasonUnknownKey:
		return "invalid signature, no keys found"
	case ReasonSignature, ReasonTooManyKeys:
		return "invalid signature"
	case ReasonMissingClaim:
		return e.Subject + " claim is missing"
	case ReasonInvalidClaim:
		return e.Subject + " claim is invalid"
	case ReasonAudience:
		return "token audiences are invalid for the target audiences"
	case ReasonNotYetValid:
		return "service account token is not valid yet"
	case ReasonExpired:
		return "service account token has expired"
	case ReasonIssuedInFuture:
		return "service account token is issued in the future"
	case ReasonNotFound, ReasonRecreated, ReasonDeleted:
		return "service account token has been invalidated: its " + e.Subject + " is gone"
	case ReasonUnsupported:
		return "service account tokens bound to a " + e.Subject + " are not accepted here"
	case ReasonPolicy:
		return "service account token is rejected by a policy: " + e.Subject
	case ReasonOtherCluster:
		return "service account token is of another cluster"
	case ReasonRefused:
		return "service account token is not accepted by the API server"
	case ReasonInvalidUser:
		return "the API server's answer is not about a service account: its " + e.Subject + " is invalid"
	case ReasonReplaced:
		return "token does not match server's copy"
	case ReasonSecretType:
		return "service account token has been invalidated: its Secret is not a token Secret"
	case ReasonMarkedInvalid:
		return "the Secret of the service account token has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '" +
			InvalidSinceLabel + "' label from the Secret to temporarily allow use of this token"
	default:
		return "service account token is rejected"
	}
}

// An UnavailableError means that keys or an object could not be looked up. It
// says nothing about the token, which is not accepted: retry. It wraps the
// error of the lookup, unless that is about another token.
type UnavailableError struct {
	Subject string // "verification keys", or the kind of object
	Err     error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("tokens: looking up the %s: %v", e.Subject, e.Err)
}

// Unwrap returns what the lookup returned, but not what would be taken for an answer
// about this token: a getter may have been refused with a token of its own.
func (e *UnavailableError) Unwrap() error {
	if _, invalid := errors.AsType[*InvalidError](e.Err); invalid || errors.Is(e.Err, ErrNotRecognized) {
		return nil
	}
	return e.Err
}
