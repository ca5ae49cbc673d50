package clustertest

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func aboutCreates() []Promise {
	return []Promise{
		promise("a create gives a UID, a resourceVersion and a creationTimestamp", createFillsIn),  // F02
		promise("a create returns what a get returns then", createReturnsWhatIsStored),             // F02
		promise("a create ignores a UID and timestamps of the caller", createIgnoresServersFields), // F02
		promise("a create with a resourceVersion is rejected", createRejectsResourceVersion),       // F01
		promise("a create of a name in use is AlreadyExists and changes nothing", createOfNameInUse),
		promise("generateName gives a fresh name of the prefix and five characters", generateName), // CST-19
		promise("a name counts more than a generateName", nameBeforeGenerateName),
		promise("an object without a name is Invalid", createWithoutName),
		promise("a bad name is Invalid", createWithBadName), // ADM-233
		promise("a bad label is Invalid", createWithBadLabel),
		promise("annotations of more than 256 KiB are Invalid", annotationsLimit),
		promise("a finalizer that is not qualified is Invalid", createWithBadFinalizer),
		promise("empty labels and annotations are none", emptyMapsAreNone),
	}
}

func createFillsIn(r *room) {
	r.each(func(k kind) {
		one, other := k.make(r, nil), k.make(r, nil)
		for _, o := range []object{one, other} {
			revision(r, o)
			if created := o.GetCreationTimestamp(); o.GetUID() == "" || created.IsZero() {
				r.failf("%s has UID %q and creationTimestamp %v, want both set", k.name, o.GetUID(), created)
			}
		}
		if one.GetUID() == other.GetUID() {
			r.failf("two objects of kind %s have the same UID %s", k.name, one.GetUID())
		}
		r.newer("the next create of a "+k.name, other, one)
	})
}

func createReturnsWhatIsStored(r *room) {
	r.each(func(k kind) {
		created := k.make(r, func(o object) { o.SetLabels(map[string]string{"a": "b"}) })
		if got := k.read(r, created); !equality.Semantic.DeepEqual(got, created) {
			r.failf("create of a %s returned %v, and get %v", k.name, created, got)
		}
		if created.GetLabels()["a"] != "b" {
			r.failf("create of a %s lost its labels", k.name)
		}
	})
}

// longAgo is when nothing of this was there.
var longAgo = time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)

func createIgnoresServersFields(r *room) {
	long := metav1.NewTime(longAgo)
	seconds := int64(1)
	r.each(func(k kind) {
		got := k.make(r, func(o object) {
			o.SetUID("of-the-caller")
			o.SetCreationTimestamp(long)
			o.SetDeletionTimestamp(&long)
			o.SetDeletionGracePeriodSeconds(&seconds)
		})
		if created := got.GetCreationTimestamp(); got.GetUID() == "of-the-caller" || created.Equal(&long) {
			r.failf("%s was created with the caller's UID or creationTimestamp", k.name)
		}
		if got.GetDeletionTimestamp() != nil || got.GetDeletionGracePeriodSeconds() != nil {
			r.failf("%s was created with a deletionTimestamp, which only a delete may set", k.name)
		}
	})
}

func createRejectsResourceVersion(r *room) {
	r.each(func(k kind) {
		o := k.make(r, nil)
		o.SetName(o.GetName() + "-copy")
		if got, err := k.create(r.cluster, r.ctx, o); err == nil {
			r.failf("create of a %s with resourceVersion %s succeeded: %v", k.name, o.GetResourceVersion(), got)
		}
		k.absent(r, o)
	})
}

func createOfNameInUse(r *room) {
	r.each(func(k kind) {
		first := k.make(r, nil)
		second := k.new()
		second.SetName(first.GetName())
		second.SetNamespace(first.GetNamespace())
		second.SetLabels(map[string]string{"second": "yes"})
		_, err := k.create(r.cluster, r.ctx, second)
		r.rejected("create of a "+k.name+" with a name in use", err, rejection{metav1.StatusReasonAlreadyExists, k.resource, first.GetName()})
		if got := k.read(r, first); got.GetUID() != first.GetUID() || got.GetResourceVersion() != first.GetResourceVersion() {
			r.failf("create of a %s with a name in use changed what was there", k.name)
		}
	})
}

func generateName(r *room) {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	long := strings.Repeat("x", 70)
	for _, base := range []string{"short-", long} {
		seen := map[string]bool{}
		prefix := base[:min(len(base), 63-5)]
		for range 10 {
			secret := r.secret("")
			secret.GenerateName = base
			got := create(r, Cluster.CreateSecret, secret)
			suffix, ok := strings.CutPrefix(got.Name, prefix)
			if !ok || len(suffix) != 5 || strings.Trim(suffix, letters) != "" {
				r.failf("generateName %q gave name %q, want %q and five characters of %q", base, got.Name, prefix, letters)
			}
			if got.GenerateName != base {
				r.failf("generateName %q is now %q", base, got.GenerateName)
			}
			if seen[got.Name] {
				r.failf("generateName %q gave the name %q twice", base, got.Name)
			}
			seen[got.Name] = true
		}
	}
}

func nameBeforeGenerateName(r *room) {
	secret := r.secret("mine")
	secret.GenerateName = "other-"
	if got := create(r, Cluster.CreateSecret, secret); got.Name != "mine" {
		r.failf("a Secret with name %q and a generateName is called %q", "mine", got.Name)
	}
}

func createWithoutName(r *room) {
	r.each(func(k kind) {
		o := k.new()
		if k.namespaced {
			o.SetNamespace(r.namespace)
		}
		_, err := k.create(r.cluster, r.ctx, o)
		r.invalid("create of a "+k.name+" without a name", err, k.name, "", metav1.CauseTypeFieldValueRequired, "metadata.name")
	})
}

func createWithBadName(r *room) {
	r.each(func(k kind) {
		bad := []string{"Upper", "under_score", "-dash", "dash-", strings.Repeat("a", 254)}
		if k.name == "Namespace" {
			bad = append(bad, "a.dot", strings.Repeat("a", 64))
		}
		for _, name := range bad {
			o := k.new()
			o.SetName(name)
			if k.namespaced {
				o.SetNamespace(r.namespace)
			}
			_, err := k.create(r.cluster, r.ctx, o)
			r.invalid(fmt.Sprintf("create of a %s called %q", k.name, name), err, k.name, name, metav1.CauseTypeFieldValueInvalid, "metadata.name")
		}
	})
	create(r, Cluster.CreateSecret, r.secret("a.dot-"+strings.Repeat("a", 247)))
}

func createWithBadLabel(r *room) {
	for _, labels := range []map[string]string{{"a": "two words"}, {"a b": ""}, {"": "a"}, {"a": strings.Repeat("a", 64)}} {
		secret := r.secret("s")
		secret.Labels = labels
		_, err := r.cluster.CreateSecret(r.ctx, secret)
		r.invalid(fmt.Sprintf("create with labels %v", labels), err, "Secret", "s", metav1.CauseTypeFieldValueInvalid, "metadata.labels")
	}
}

func annotationsLimit(r *room) {
	const limit = 256 << 10
	account := r.account("builder")
	account.Annotations = map[string]string{"note": strings.Repeat("x", limit-len("note"))}
	account = create(r, Cluster.CreateServiceAccount, account)
	metav1.SetMetaDataAnnotation(&account.ObjectMeta, "more", "")
	_, err := r.cluster.UpdateServiceAccount(r.ctx, account)
	r.invalid("update with annotations of more than 256 KiB", err, "ServiceAccount", "builder", metav1.CauseTypeTooLong, "metadata.annotations")
	account = r.account("other")
	account.Annotations = map[string]string{"more": strings.Repeat("x", limit-len("more")+1)}
	_, err = r.cluster.CreateServiceAccount(r.ctx, account)
	r.invalid("create with annotations of more than 256 KiB", err, "ServiceAccount", "other", metav1.CauseTypeTooLong, "metadata.annotations")
}

func createWithBadFinalizer(r *room) {
	secret := r.secret("s")
	secret.Finalizers = []string{"mine"}
	_, err := r.cluster.CreateSecret(r.ctx, secret)
	r.invalid("create with the finalizer mine", err, "Secret", "s", metav1.CauseTypeFieldValueInvalid, "metadata.finalizers[0]")
}

// A client can't tell a map that is empty from one that is not there, so a
// cluster doesn't either.
func emptyMapsAreNone(r *room) {
	r.each(func(k kind) {
		if k.name == "Namespace" {
			return // it gets a label
		}
		created := k.make(r, func(o object) {
			o.SetLabels(map[string]string{})
			o.SetAnnotations(map[string]string{})
			o.SetFinalizers([]string{})
			o.SetOwnerReferences([]metav1.OwnerReference{})
		})
		for _, o := range []object{created, k.read(r, created)} {
			if o.GetLabels() != nil || o.GetAnnotations() != nil || o.GetFinalizers() != nil || o.GetOwnerReferences() != nil {
				r.failf("%s was created with empty labels, annotations, finalizers and owners, and has %#v, %#v, %#v and %#v, want nil",
					k.name, o.GetLabels(), o.GetAnnotations(), o.GetFinalizers(), o.GetOwnerReferences())
			}
		}
	})
	account := r.account("builder")
	account.Secrets, account.ImagePullSecrets = []corev1.ObjectReference{}, []corev1.LocalObjectReference{}
	create(r, Cluster.CreateServiceAccount, account)
	secret, configMap := r.secret("s"), r.configMap("c")
	secret.Data, configMap.Data = map[string][]byte{}, map[string]string{}
	create(r, Cluster.CreateSecret, secret)
	create(r, Cluster.CreateConfigMap, configMap)
	account, secret, configMap = get(r, Cluster.GetServiceAccount, "builder"), get(r, Cluster.GetSecret, "s"), get(r, Cluster.GetConfigMap, "c")
	if account.Secrets != nil || account.ImagePullSecrets != nil || secret.Data != nil || configMap.Data != nil {
		r.failf("empty lists and maps came back as %#v, %#v, %#v and %#v, want nil", account.Secrets, account.ImagePullSecrets, secret.Data, configMap.Data)
	}
}

func uidOf(o metav1.Object) *types.UID {
	uid := o.GetUID()
	return &uid
}
