package tokenreview

import (
	"context"
	"errors"

	"github.com/kubesa/serviceaccount/tokens"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// errUnavailable is what a client learns of a failed lookup.
const errUnavailable = "tokens: the token could not be verified, try again"

// Review answers a TokenReview as kube-apiserver does: its status says who
// presents the token, if it was issued for one of spec.audiences, or of the API
// audiences if there are none. verifier is a [tokens.Authenticator], usually; a
// [tokens.Chain] asks several. Review doesn't change its argument and returns another
// one, with everything but the token.
//
// Groups have neither system:authenticated nor what else a chain of
// authenticators adds. A token that is not recognized leaves status.error
// empty, so that another authenticator may be asked; a failed lookup sets it
// to a text that says only that, because an answer without an error may be
// cached. [tokens.AuthenticatorConfig.Observe] learns the details.
func Review(ctx context.Context, review *authenticationv1.TokenReview, verifier tokens.Verifier) *authenticationv1.TokenReview {
	answer, _ := reviewBy(ctx, verifier, review)
	return answer
}

// reviewBy is Review. It also returns the error of Authenticate, nil if it wasn't called.
func reviewBy(ctx context.Context, verifier tokens.Verifier, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	if review == nil {
		review = &authenticationv1.TokenReview{}
	}
	answer := review.DeepCopy()
	answer.Spec.Token = ""
	answer.Status = authenticationv1.TokenReviewStatus{}
	if fault := reviewFault(review); fault != "" {
		answer.Status.Error = fault
		return answer, nil
	}
	if verifier == nil {
		answer.Status.Error = errUnavailable
		return answer, nil
	}
	identity, err := verifier.Authenticate(ctx, review.Spec.Token, review.Spec.Audiences...)
	if err == nil && identity == nil {
		err = errors.New("tokenreview: the Verifier returned neither an Identity nor an error")
	}
	if err != nil {
		answer.Status.Error = reviewError(err)
		return answer, err
	}
	answer.Status.Authenticated = true
	answer.Status.User = identity.UserInfo()
	if answer.Status.User.Extra == nil {
		answer.Status.User.Extra = map[string]authenticationv1.ExtraValue{}
	}
	answer.Status.Audiences = identity.Audiences
	return answer, nil
}

// reviewFault says why review can't be answered, empty if it can (REV-2, REV-3).
func reviewFault(review *authenticationv1.TokenReview) string {
	switch {
	case review.Namespace != "":
		return "namespace is not allowed on this type"
	case review.Spec.Token == "":
		return "token is required for TokenReview in authentication"
	}
	return ""
}

// reviewError returns what status.error says of err, which is an error of
// Authenticate.
func reviewError(err error) string {
	if errors.Is(err, tokens.ErrNotRecognized) {
		return ""
	}
	if e, ok := errors.AsType[*tokens.InvalidError](err); ok {
		return e.Error()
	}
	return errUnavailable
}
