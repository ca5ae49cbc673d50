package apiserver

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/review"
)

// requestToken answers a TokenRequest, the subresource "token" of an account. A dry run
// gives a token, too: nothing is stored either way.
func (c *call) requestToken(t target) error {
	gvk := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	request := new(authenticationv1.TokenRequest)
	if err := c.readReview(request, gvk); err != nil {
		return err
	}
	answer, err := review.CreateToken(c.ctx, c.authority, t.namespace, t.name, request)
	if err != nil {
		return err
	}
	answer.SetGroupVersionKind(gvk)
	return c.sendJSON(http.StatusCreated, answer)
}

// readReview reads the options and the body of a create of what is not stored.
func (c *call) readReview(into message, gvk schema.GroupVersionKind) error {
	opts, err := c.createOptions()
	if err != nil {
		return err
	}
	return c.read(into, opts.FieldValidation, gvk)
}

// review answers the reviews of the group authentication.k8s.io.
func (c *call) review(resource string) error {
	if resource != "tokenreviews" && resource != "selfsubjectreviews" {
		return errNoSuchPath()
	}
	if err := c.allow(http.MethodPost); err != nil {
		return err
	}
	if resource == "selfsubjectreviews" {
		return c.reviewSelf()
	}
	gvk := authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
	request := new(authenticationv1.TokenReview)
	if err := c.readReview(request, gvk); err != nil {
		return err
	}
	answer, err := review.Token(c.ctx, c.authority, "", request)
	if err != nil {
		return err
	}
	answer.SetGroupVersionKind(gvk)
	return c.sendJSON(http.StatusCreated, answer)
}

// reviewSelf tells the client who it is.
func (c *call) reviewSelf() error {
	gvk := authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview")
	request := new(authenticationv1.SelfSubjectReview)
	if err := c.readReview(request, gvk); err != nil {
		return err
	}
	user := review.Anonymous
	if c.user != nil {
		user = review.User(c.user)
	}
	answer, err := review.Self(c.ctx, c.authority, "", request, user)
	if err != nil {
		return err
	}
	answer.SetGroupVersionKind(gvk)
	return c.sendJSON(http.StatusCreated, answer)
}
