package clustertest

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func aboutPatches() []Promise {
	return []Promise{
		promise("a merge patch changes what it names and removes what it sets to null", mergePatch),
		promise("a merge patch replaces lists", mergePatchOfLists),
		promise("a JSON patch does its operations in order", jsonPatch),
		promise("a JSON patch whose test fails is Invalid and changes nothing", jsonPatchTest),
		promise("a strategic merge patch merges the references of an account by name", strategicPatch),
		promise("a patch with another resourceVersion is a Conflict and changes nothing", stalePatch), // F04
		promise("a patch with another UID is rejected and changes nothing", patchOfAnother),           // F04
		promise("a patch that changes nothing keeps the resourceVersion", patchOfNothing),             // S6
		promise("a patch of nothing is NotFound", patchOfNobody),
		promise("a patch that can't be read is a BadRequest and changes nothing", badPatch),
		promise("a patch of another media type is rejected", patchOfUnknownType),
		promise("a patch can't rename or move an object", patchCantRename),
		promise("a patch can't change the UID or the creationTimestamp, or begin a deletion", patchCantSetServersFields), // F02
		promise("a patch is validated as an update is", patchIsValidated),                                                // ADM-232
	}
}

// patch patches the Secret called name, which must succeed.
func (r *room) patch(name string, pt types.PatchType, data string) *corev1.Secret {
	got, err := r.cluster.PatchSecret(r.ctx, r.namespace, name, pt, []byte(data))
	return answer(r, fmt.Sprintf("%s %s", pt, data), got, err)
}

// unpatched fails unless a patch of secret is rejected and nothing has changed.
func (r *room) unpatched(secret *corev1.Secret, pt types.PatchType, data string, want rejection) metav1.Status {
	_, err := r.cluster.PatchSecret(r.ctx, secret.Namespace, secret.Name, pt, []byte(data))
	status := r.rejected(fmt.Sprintf("%s %s", pt, data), err, want)
	if got := get(r, Cluster.GetSecret, secret.Name); !equality.Semantic.DeepEqual(got, secret) {
		r.failf("%s %s was rejected, and changed the Secret all the same", pt, data)
	}
	return status
}

func (r *room) labelledSecret() *corev1.Secret {
	secret := r.secret("s")
	secret.Labels = map[string]string{"a": "1", "b": "2"}
	return create(r, Cluster.CreateSecret, secret)
}

func mergePatch(r *room) {
	before := r.labelledSecret()
	after := r.patch("s", types.MergePatchType, `{"metadata":{"labels":{"a":null,"c":"3"}}}`)
	want := map[string]string{"b": "2", "c": "3"}
	if got := get(r, Cluster.GetSecret, "s"); !equality.Semantic.DeepEqual(got, after) || !equality.Semantic.DeepEqual(got.Labels, want) {
		r.failf("a merge patch gave labels %v, and get %v, want %v", after.Labels, got.Labels, want)
	}
	r.newer("a merge patch", after, before)
	if after.UID != before.UID || string(after.Data["key"]) != "value" {
		r.failf("a merge patch of labels changed the UID or the data")
	}
	after = r.patch("s", types.MergePatchType, `{"data":{"other":"b3RoZXI="}}`)
	if string(after.Data["other"]) != "other" || string(after.Data["key"]) != "value" {
		r.failf("a merge patch that adds a key to data gave %d keys, want 2", len(after.Data))
	}
}

func mergePatchOfLists(r *room) {
	account := r.account("builder")
	account.Secrets = []corev1.ObjectReference{{Name: "a"}, {Name: "b"}}
	create(r, Cluster.CreateServiceAccount, account)
	r.patchAccount(types.MergePatchType, `{"secrets":[{"name":"c"}]}`, []string{"c"}, nil)
}

// patchAccount patches the account "builder" and fails unless it names these
// secrets and imagePullSecrets then, in any order.
func (r *room) patchAccount(pt types.PatchType, data string, secrets, pullSecrets []string) {
	account, err := r.cluster.PatchServiceAccount(r.ctx, r.namespace, "builder", pt, []byte(data))
	answer(r, fmt.Sprintf("%s %s", pt, data), account, err)
	var gotSecrets, gotPull []string
	for _, ref := range account.Secrets {
		gotSecrets = append(gotSecrets, ref.Name)
	}
	for _, ref := range account.ImagePullSecrets {
		gotPull = append(gotPull, ref.Name)
	}
	slices.Sort(gotSecrets)
	slices.Sort(gotPull)
	if !slices.Equal(gotSecrets, secrets) || !slices.Equal(gotPull, pullSecrets) {
		r.failf("%s %s gave secrets %q and imagePullSecrets %q, want %q and %q", pt, data, gotSecrets, gotPull, secrets, pullSecrets)
	}
}

func jsonPatch(r *room) {
	r.labelledSecret()
	got := r.patch("s", types.JSONPatchType, `[
		{"op":"test","path":"/metadata/labels/a","value":"1"},
		{"op":"replace","path":"/metadata/labels/a","value":"one"},
		{"op":"remove","path":"/metadata/labels/b"},
		{"op":"add","path":"/metadata/labels/example.com~1c","value":"3"},
		{"op":"copy","from":"/metadata/labels/a","path":"/metadata/labels/d"},
		{"op":"move","from":"/metadata/labels/d","path":"/metadata/labels/e"}]`)
	want := map[string]string{"a": "one", "example.com/c": "3", "e": "one"}
	if !equality.Semantic.DeepEqual(got.Labels, want) {
		r.failf("a JSON patch gave labels %v, want %v", got.Labels, want)
	}
}

func jsonPatchTest(r *room) {
	secret := r.labelledSecret()
	invalid := rejection{reason: metav1.StatusReasonInvalid}
	r.unpatched(secret, types.JSONPatchType, `[{"op":"remove","path":"/metadata/labels/b"},{"op":"test","path":"/metadata/labels/a","value":"2"}]`, invalid)
	r.unpatched(secret, types.JSONPatchType, `[{"op":"test","path":"/metadata/uid","value":"of-another"},{"op":"remove","path":"/metadata/labels/b"}]`, invalid)
	r.unpatched(secret, types.JSONPatchType, `[{"op":"remove","path":"/metadata/labels/nothing"}]`, invalid)
	r.unpatched(secret, types.JSONPatchType, `[{"op":"replace","path":"/metadata/nothing/a","value":"1"}]`, invalid)
}

func strategicPatch(r *room) {
	account := r.account("builder")
	account.Secrets = []corev1.ObjectReference{{Name: "a"}}
	account.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}}
	create(r, Cluster.CreateServiceAccount, account)
	pt := types.StrategicMergePatchType // merges secrets, and replaces imagePullSecrets
	r.patchAccount(pt, `{"secrets":[{"name":"b"}]}`, []string{"a", "b"}, []string{"x"})
	r.patchAccount(pt, `{"secrets":[{"name":"a"}],"imagePullSecrets":[{"name":"y"}]}`, []string{"a", "b"}, []string{"y"})
	r.patchAccount(pt, `{"secrets":[{"$patch":"delete","name":"a"}]}`, []string{"b"}, []string{"y"})
	r.patchAccount(pt, `{"metadata":{"finalizers":["`+finalizer+`"]},"secrets":[{"name":"c"},{"name":"b"},{"name":"d"}]}`, []string{"b", "c", "d"}, []string{"y"})
	r.patchAccount(pt, `{"metadata":{"finalizers":["`+finalizer+`-2","`+finalizer+`"]}}`, []string{"b", "c", "d"}, []string{"y"})
	r.patchAccount(pt, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["`+finalizer+`"]}}`, []string{"b", "c", "d"}, []string{"y"})
	r.patchAccount(pt, `{"metadata":{"finalizers":null}}`, []string{"b", "c", "d"}, []string{"y"})
	r.patchAccount(pt, `{"$setElementOrder/secrets":[{"name":"e"},{"name":"d"},{"name":"c"},{"name":"b"}],"secrets":[{"name":"e"}]}`, []string{"b", "c", "d", "e"}, []string{"y"})
	r.patchAccount(pt, `{"secrets":[{"$patch":"replace"},{"name":"c"}],"imagePullSecrets":null}`, []string{"c"}, nil)
}

func stalePatch(r *room) {
	old := r.labelledSecret()
	current := r.patch("s", types.MergePatchType, `{"metadata":{"labels":{"a":"new"}}}`)
	conflict := rejection{metav1.StatusReasonConflict, "secrets", "s"}
	for _, pt := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
		r.unpatched(current, pt, fmt.Sprintf(`{"metadata":{"resourceVersion":%q,"labels":{"a":"late"}}}`, old.ResourceVersion), conflict)
	}
	r.unpatched(current, types.JSONPatchType, fmt.Sprintf(`[{"op":"replace","path":"/metadata/resourceVersion","value":%q},{"op":"remove","path":"/metadata/labels/a"}]`, old.ResourceVersion), conflict)
	got := r.patch("s", types.MergePatchType, fmt.Sprintf(`{"metadata":{"resourceVersion":%q,"uid":%q,"labels":{"a":"in-time"}}}`, current.ResourceVersion, current.UID))
	if got.Labels["a"] != "in-time" {
		r.failf("a patch with the current resourceVersion and UID gave label %q", got.Labels["a"])
	}
}

// An API server says Invalid, because the UID is immutable; Conflict says the
// same.
func patchOfAnother(r *room) {
	secret := r.labelledSecret()
	for pt, data := range map[types.PatchType]string{
		types.MergePatchType:          `{"metadata":{"uid":"00000000-dead-4000-8000-000000000000","labels":{"a":"other"}}}`,
		types.StrategicMergePatchType: `{"metadata":{"uid":"00000000-dead-4000-8000-000000000000","labels":{"a":"other"}}}`,
		types.JSONPatchType:           `[{"op":"replace","path":"/metadata/uid","value":"00000000-dead-4000-8000-000000000000"},{"op":"remove","path":"/metadata/labels/a"}]`,
	} {
		want := rejection{reason: metav1.StatusReasonInvalid}
		_, err := r.cluster.PatchSecret(r.ctx, r.namespace, "s", pt, []byte(data))
		if apierrors.IsConflict(err) {
			want.reason = metav1.StatusReasonConflict
		}
		r.rejected(fmt.Sprintf("%s %s", pt, data), err, want)
	}
	kindOf("secrets").unchanged(r, "a rejected patch", secret)
}

func patchOfNothing(r *room) {
	before := r.labelledSecret()
	for pt, data := range map[types.PatchType]string{
		types.MergePatchType:          `{"metadata":{"labels":{"a":"1","c":null}}}`,
		types.StrategicMergePatchType: `{}`,
		types.JSONPatchType:           `[]`,
	} {
		if after := r.patch("s", pt, data); after.ResourceVersion != before.ResourceVersion {
			r.failf("%s %s changes nothing and gave resourceVersion %s after %s", pt, data, after.ResourceVersion, before.ResourceVersion)
		}
	}
}

func patchOfNobody(r *room) {
	for pt, data := range map[types.PatchType]string{
		types.MergePatchType:          `{"metadata":{"labels":{"a":"1"}}}`,
		types.StrategicMergePatchType: `{"metadata":{"uid":"00000000-dead-4000-8000-000000000000"}}`,
		types.JSONPatchType:           `[{"op":"add","path":"/metadata/labels","value":{}}]`,
	} {
		_, err := r.cluster.PatchSecret(r.ctx, r.namespace, "nothing", pt, []byte(data))
		r.rejected(fmt.Sprintf("%s of a Secret that isn't there", pt), err, rejection{metav1.StatusReasonNotFound, "secrets", "nothing"})
		_, err = r.cluster.PatchServiceAccount(r.ctx, r.namespace, "nobody", pt, []byte(data))
		r.rejected(fmt.Sprintf("%s of an account that isn't there", pt), err, rejection{metav1.StatusReasonNotFound, "serviceaccounts", "nobody"})
	}
}

func badPatch(r *room) {
	secret := r.labelledSecret()
	for _, pt := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType, types.JSONPatchType} {
		r.unpatched(secret, pt, `{"metadata":`, rejection{reason: metav1.StatusReasonBadRequest})
	}
	r.unpatched(secret, types.JSONPatchType, `{"metadata":{"labels":{"a":"2"}}}`, rejection{reason: metav1.StatusReasonBadRequest})
	r.unpatched(secret, types.MergePatchType, `[{"op":"remove","path":"/metadata/labels"}]`, rejection{reason: metav1.StatusReasonBadRequest})
}

func patchOfUnknownType(r *room) {
	secret := r.labelledSecret()
	r.unpatched(secret, "application/json", `{}`, rejection{reason: metav1.StatusReasonUnsupportedMediaType})
}

func patchCantRename(r *room) {
	secret := r.labelledSecret()
	r.unpatched(secret, types.MergePatchType, `{"metadata":{"name":"t"}}`, rejection{reason: metav1.StatusReasonBadRequest})
	r.unpatched(secret, types.MergePatchType, `{"metadata":{"namespace":"default"}}`, rejection{reason: metav1.StatusReasonBadRequest})
}

func patchCantSetServersFields(r *room) {
	before := r.labelledSecret()
	after := r.patch("s", types.MergePatchType, `{"metadata":{"uid":null,"labels":{"a":"new"},"creationTimestamp":"2001-01-01T00:00:00Z"}}`)
	if after.UID != before.UID || !after.CreationTimestamp.Equal(&before.CreationTimestamp) {
		r.failf("a patch changed the UID or the creationTimestamp of a Secret")
	}
	invalid := rejection{metav1.StatusReasonInvalid, "Secret", "s"}
	r.unpatched(after, types.MergePatchType, `{"metadata":{"deletionTimestamp":"2001-01-01T00:00:00Z"}}`, invalid)
	r.unpatched(after, types.MergePatchType, `{"metadata":{"deletionGracePeriodSeconds":1}}`, invalid)
}

func patchIsValidated(r *room) {
	secret := create(r, Cluster.CreateSecret, r.tokenSecret("s", "builder"))
	invalid := rejection{metav1.StatusReasonInvalid, "Secret", "s"}
	r.unpatched(secret, types.MergePatchType, `{"type":"Opaque"}`, invalid)
	r.unpatched(secret, types.MergePatchType, `{"metadata":{"annotations":{"kubernetes.io/service-account.name":null}}}`, invalid)
	r.unpatched(secret, types.MergePatchType, `{"metadata":{"labels":{"a":"two words"}}}`, invalid)
}
