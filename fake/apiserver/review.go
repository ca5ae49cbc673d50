package apiserver

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// requestToken answers a TokenRequest, the subresource "token" of an account.
func (c *call) requestToken(t target) error {
	gvk := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	request := new(authenticationv1.TokenRequest)
	// A dry run gives a token, too: nothing is stored either way.
	if err := c.readReview(request, gvk); err != nil {
		return err
	}
	if request.Namespace != "" && request.Namespace != t.namespace { // REQ-3
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	answer, err := c.authority.CreateToken(c.ctx, t.namespace, t.name, request)
	if err != nil {
		return err
	}
	answer.Name, answer.Namespace, answer.CreationTimestamp = t.name, t.namespace, c.now()
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
	switch resource {
	case "tokenreviews", "selfsubjectreviews":
	default:
		return errNoSuchPath()
	}
	if err := c.allow(http.MethodPost); err != nil {
		return err
	}
	if resource == "selfsubjectreviews" {
		return c.reviewSelf()
	}
	gvk := authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
	review := new(authenticationv1.TokenReview)
	if err := c.readReview(review, gvk); err != nil {
		return err
	}
	switch {
	case review.Namespace != "":
		return apierrors.NewBadRequest("namespace is not allowed on this type")
	case review.Spec.Token == "":
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	answer, err := c.authority.Review(c.ctx, review)
	if err != nil {
		return err
	}
	switch { // what comes after the authenticator in an API server (REV-9, REV-15)
	case answer.Status.Authenticated:
		answer.Status.User.Groups = append(answer.Status.User.Groups, "system:authenticated")
	case answer.Status.Error == "":
		answer.Status.Error = "invalid bearer token"
	}
	answer.SetGroupVersionKind(gvk)
	return c.sendJSON(http.StatusCreated, answer)
}

// reviewSelf tells the client who it is.
func (c *call) reviewSelf() error {
	gvk := authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview")
	review := new(authenticationv1.SelfSubjectReview)
	if err := c.readReview(review, gvk); err != nil {
		return err
	}
	user := authenticationv1.UserInfo{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	if c.user != nil {
		user = c.user.UserInfo()
		user.Groups = append(user.Groups, "system:authenticated")
	}
	answer, err := c.authority.ReviewSelf(c.ctx, review, user)
	if err != nil {
		return err
	}
	answer.SetGroupVersionKind(gvk)
	return c.sendJSON(http.StatusCreated, answer)
}
