package admission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// An Edit is one change to a pod, or one that could be expected and is not made.
type Edit struct {
	// Field is the field of the pod's spec: serviceAccountName, serviceAccount
	// or imagePullSecrets, which is set; volumes, which gets one more; or
	// initContainers or containers, of which one gets one more of its
	// volumeMounts, or of its env. It is empty if the edit is about the pod as a
	// whole.
	Field string
	// Container is the index of the container that gets a mount or a variable.
	Container int
	// Env says that the container gets a variable.
	Env bool
	// Keep says that the field stays as it is.
	Keep bool

	why     why
	but     why    // a volume is added although one looks alike
	name    string // of the account, or of the volume that is added or mounted
	detail  string // the Secret of a SecretBacked volume, the volume that looks alike, or the container's name
	rules   *rules
	account *corev1.ServiceAccount // for its pull secrets
	further *furtherEdit           // for a further volume; then only what is exported counts beside it
}

// Value returns what the field is set to, or the element that is added to it: a
// string, a [corev1.Volume], a [corev1.VolumeMount], a [corev1.EnvVar] or a
// []corev1.LocalObjectReference. It is nil if the field is kept. The caller may
// change it.
func (e *Edit) Value() any {
	switch {
	case e.Keep:
		return nil
	case e.further != nil:
		return e.further.value()
	}
	switch e.Field {
	case fieldAccount, fieldOldAccount:
		return e.name
	case fieldVolumes:
		var v corev1.Volume
		e.setVolume(&v)
		return v
	case fieldPullSecrets:
		return slices.Clone(e.account.ImagePullSecrets)
	}
	var m corev1.VolumeMount
	e.setMount(&m)
	return m
}

// setVolume sets v, which is zero, to the volume that is added.
func (e *Edit) setVolume(v *corev1.Volume) {
	if e.further != nil {
		e.further.volume.DeepCopyInto(v)
		return
	}
	e.rules.setVolume(v, e.name, e.detail)
}

// setMount sets m, which is zero, to the mount that is added.
func (e *Edit) setMount(m *corev1.VolumeMount) {
	if e.further != nil {
		*m = *e.further.mount
		return
	}
	e.rules.setMount(m, e.name)
}

// containerOf returns the container that e is about, or nil.
func (e *Edit) containerOf(spec *corev1.PodSpec) *corev1.Container {
	switch e.Field {
	case fieldInitContainers:
		return &spec.InitContainers[e.Container]
	case fieldContainers:
		return &spec.Containers[e.Container]
	}
	return nil
}

// String returns, for example:
//
//	set spec.serviceAccountName: default (the pod names no account)
func (e *Edit) String() string {
	text := e.verb() + " " + e.path()
	switch v := e.Value().(type) {
	case string:
		text += ": " + v
	case corev1.Volume:
		text += ": " + v.Name
	case corev1.VolumeMount:
		text += ": " + v.Name + " at " + v.MountPath
	case corev1.EnvVar:
		text += ": " + v.Name
	case []corev1.LocalObjectReference:
		names := make([]string, len(v))
		for i, ref := range v {
			names[i] = ref.Name
		}
		text += ": " + strings.Join(names, ", ")
	}
	return text + " (" + e.Why() + ")"
}

func (e *Edit) verb() string {
	switch {
	case e.Keep:
		return "keep"
	case e.Field == fieldVolumes || e.Field == fieldInitContainers || e.Field == fieldContainers:
		return "add to"
	}
	return "set"
}

func (e *Edit) path() string {
	switch e.Field {
	case "":
		return "pod"
	case fieldInitContainers, fieldContainers:
		list := "volumeMounts"
		if e.Env {
			list = "env"
		}
		return fmt.Sprintf("spec.%s[%d].%s", e.Field, e.Container, list)
	}
	return "spec." + e.Field
}

// A why is the reason for an edit.
type why uint8

const (
	automountOn why = iota // no reason to keep the pod as it is
	noPod
	ignoredRequest
	otherRequest
	mirrorPod
	validateOnly
	podNamesAccount
	oldFieldNamesAccount
	podNamesNoAccount
	oldFieldFollows
	tokensAreOff
	podOptsOut
	accountOptsOut
	noContainers
	noTokenSecret
	noContainerNeedsToken
	volumeIsThere
	volumeHasSecret
	volumeProjects
	pathIsFree
	pathIsTaken
	containerOptsOut
	podHasPullSecrets
	accountHasNoPullSecrets
	podHasNoPullSecrets

	// Why a volume is not the one that is asked for.
	projectsNoToken
	otherFile
	otherAudience
	otherLifetime
	otherSources
	asAskedFor = automountOn // it is
)

// Why says why the field is changed or kept. It is for people, and may change
// from release to release.
func (e *Edit) Why() string {
	if e.further != nil {
		return e.further.why
	}
	switch e.why {
	case noPod:
		return "there is none"
	case ignoredRequest:
		return "other requests are ignored"
	case otherRequest:
		return "only pods that are created are changed"
	case mirrorPod:
		return "it is a mirror pod"
	case validateOnly:
		return "it is only validated"
	case podNamesAccount:
		return "the pod names " + e.name
	case oldFieldNamesAccount:
		return "spec.serviceAccount, its old name, has it"
	case podNamesNoAccount:
		return "the pod names no account"
	case oldFieldFollows:
		return "it is the old name of spec.serviceAccountName"
	case tokensAreOff:
		return "tokens are never mounted here"
	case podOptsOut:
		return "automountServiceAccountToken of the pod is false"
	case accountOptsOut:
		return "automountServiceAccountToken of the account is false"
	case noContainers:
		return "the pod has no containers"
	case noTokenSecret:
		return "the account has no token Secret"
	case noContainerNeedsToken:
		return "no container needs the token"
	case volumeIsThere:
		return e.name + " is taken for the token's volume"
	case volumeHasSecret:
		return "the token is in the Secret " + e.detail
	case volumeProjects:
		return "it projects the token, " + e.rules.rootCAText() + " and the namespace" + e.unlike()
	case pathIsFree:
		return "container " + e.detail + " has nothing mounted there"
	case pathIsTaken:
		return "container " + e.detail + " has something mounted at " + e.rules.mountPath
	case containerOptsOut:
		return "container " + e.detail + " is listed in the annotation " + e.rules.optOut
	case podHasPullSecrets:
		return "the pod has its own"
	case accountHasNoPullSecrets:
		return "the account has none either"
	case podHasNoPullSecrets:
		return "the pod has none of its own"
	}
	return ""
}

// unlike says why a volume that looks like the one that is added does not do.
func (e *Edit) unlike() string {
	switch e.but {
	case projectsNoToken:
		return "; " + e.detail + " projects no token"
	case otherFile:
		return "; " + e.detail + " projects its token as another file than " + tokenFile
	case otherAudience:
		if e.rules.audience == "" {
			return "; " + e.detail + " projects a token for another audience than the API server's"
		}
		return "; " + e.detail + " projects a token for another audience than " + strconv.Quote(e.rules.audience)
	case otherLifetime:
		return fmt.Sprintf("; %s projects a token that lives for another time than %d s", e.detail, e.rules.lifetime)
	case otherSources:
		return "; " + e.detail + " does not project exactly that"
	}
	return ""
}

// rootCAText says what is projected as ca.crt.
func (r *rules) rootCAText() string {
	if r.rootCASigner != "" {
		return "the ClusterTrustBundles of " + r.rootCASigner
	}
	return "the ConfigMap " + r.rootCA
}
