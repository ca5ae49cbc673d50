package object

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
)

// A Call is one combination of verb and resource that the API has.
type Call struct {
	Verb       string
	Resource   string // plural, with a subresource if there is one; or a path
	Namespaced bool
	Named      bool // is about one object
	Cached     bool // is a read that caches have, too
	CheckName  func(string) []string
}

// What the API has besides the seven kinds and their subresources.
const (
	TokenReviews       = "tokenreviews"
	SelfSubjectReviews = "selfsubjectreviews"
	JWKSPath           = "/openid/v1/jwks"
	ConfigPath         = "/.well-known/openid-configuration"

	authenticationGroup = "authentication.k8s.io"
)

// GroupOf returns the API group of a resource.
func GroupOf(resource string) string {
	if resource == TokenReviews || resource == SelfSubjectReviews {
		return authenticationGroup
	}
	if k := KindNamed(resource); k != nil {
		return k.Group
	}
	return ""
}

var calls = everyCall()

// Calls returns every call of the API. The caller must not change it.
func Calls() []Call { return calls }

// Has reports whether the API has a call of verb on resource, which may have a
// subresource.
func Has(verb, resource string) bool {
	return slices.ContainsFunc(calls, func(c Call) bool { return c.Verb == verb && c.Resource == resource })
}

// Resources returns the resources and subresources of the API.
func Resources() []string {
	var names []string
	for _, c := range calls {
		if !slices.Contains(names, c.Resource) {
			names = append(names, c.Resource)
		}
	}
	return names
}

// Reads reports whether what a call answers depends on stored objects, so that it
// can be stale. Writes depend on them as well, but are never stale.
func Reads(verb, resource string) bool {
	switch verb {
	case "get", "list":
		return resource != "" && resource[0] != '/' && resource != Events.Resource
	case "create":
		return resource == ServiceAccounts.Resource+"/"+TokenSubresource || resource == TokenReviews
	}
	return false
}

func everyCall() []Call {
	var all []Call
	for _, k := range Kinds {
		add := func(subresource string, verbs ...string) {
			for _, verb := range verbs {
				c := Call{Verb: verb, Resource: k.Resource, Namespaced: k.Namespaced, CheckName: k.CheckName}
				if subresource != "" {
					c.Resource += "/" + subresource
				}
				c.Named = verb != "list" && verb != "watch" && verb != "deletecollection"
				c.Cached = subresource == "" && (verb == "get" || verb == "list")
				all = append(all, c)
			}
		}
		add("", "get", "list", "watch", "create", "update", "patch", "delete")
		if k != Namespaces {
			add("", "deletecollection")
		}
		if k.Status {
			add("status", "get", "update", "patch")
		}
		switch k {
		case Namespaces:
			add(FinalizeSubresource, "update")
		case ServiceAccounts:
			add(TokenSubresource, "create")
		case Pods:
			add(EphemeralSubresource, "get", "update", "patch")
			add(ResizeSubresource, "get", "update", "patch")
			add(EvictionSubresource, "create")
			add(BindingSubresource, "create")
		}
	}
	for _, verb := range []string{"get", "list", "watch"} { // none is ever recorded
		all = append(all, Call{Verb: verb, Resource: Events.Resource, Namespaced: true, Named: verb == "get", CheckName: validation.IsDNS1123Subdomain})
	}
	return append(all,
		Call{Verb: "create", Resource: TokenReviews}, Call{Verb: "create", Resource: SelfSubjectReviews},
		Call{Verb: "get", Resource: ConfigPath}, Call{Verb: "get", Resource: JWKSPath})
}
