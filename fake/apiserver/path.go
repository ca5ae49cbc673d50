package apiserver

import (
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/apiserver/internal/api"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// target is what the path of a request names: all objects of a kind, those
// of a namespace, an object, or a subresource of it.
type target struct {
	kind        *object.Kind // nil for events
	resource    string
	namespace   string // "" for cluster-scoped kinds and for all namespaces
	name        string // "" for a collection
	subresource string
}

// parseTarget reads a path below /api/v1, or below that of the group of a kind.
func parseTarget(path string) (target, bool) {
	group, rest := "", path
	if below, ok := strings.CutPrefix(path, api.CertificatesPath+"/"); ok {
		group, rest = certificatesv1.GroupName, below
	} else if rest, ok = strings.CutPrefix(path, "/api/v1/"); !ok {
		return target{}, false
	}
	parts := strings.Split(rest, "/")
	t := target{}
	// "namespaces/ci/secrets" is about Secrets, "namespaces/ci/status" about the
	// Namespace.
	if len(parts) > 2 && parts[0] == object.Namespaces.Resource && !object.Namespaces.HasSubresource(parts[2]) {
		if t.namespace, parts = parts[1], parts[2:]; t.namespace == "" {
			return target{}, false
		}
	}
	if t.resource = parts[0]; t.resource != api.EventsResource || group != "" {
		if t.kind = object.KindNamed(t.resource); t.kind == nil || t.kind.Group != group {
			return target{}, false
		}
	}
	namespaced := t.kind == nil || t.kind.Namespaced
	switch {
	case !namespaced && t.namespace != "", namespaced && t.namespace == "" && len(parts) > 1, len(parts) > 3:
		return target{}, false
	case len(parts) > 2:
		if t.subresource = parts[2]; t.kind == nil || !t.kind.HasSubresource(t.subresource) {
			return target{}, false
		}
		fallthrough
	case len(parts) > 1:
		if t.name = parts[1]; t.name == "" {
			return target{}, false
		}
	}
	return t, true
}

func gvkOf(k *object.Kind) schema.GroupVersionKind { return k.GroupVersion().WithKind(k.Name) }

func (t target) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: object.GroupOf(t.resource), Resource: t.resource}
}
