package admission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/podrules"
	"github.com/kubesa/serviceaccount/internal/names"
)

// An Edit is one change to a pod, or one that could be expected and is not made.
// It is safe for concurrent use while nobody changes it.
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
	further *furthervolume.Edit    // for a further volume; then only what is exported counts beside it
}

// Value returns what the field is set to, or the element that is added to it: a
// string, a [corev1.Volume], a [corev1.VolumeMount], a [corev1.EnvVar] or a
// []corev1.LocalObjectReference. It is nil if the field is kept. The caller may
// change it.
func (e *Edit) Value() any {
	switch {
	case e.Keep:
		return nil
	case e.Env:
		return e.further.Add
	}
	switch e.Field {
	case fieldAccount, fieldOldAccount:
		return e.name
	case podrules.Volumes:
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
		added := e.further.Add.(corev1.Volume)
		added.DeepCopyInto(v)
		return
	}
	e.rules.setVolume(v, e.name, e.detail)
}

// setMount sets m, which is zero, to the mount that is added.
func (e *Edit) setMount(m *corev1.VolumeMount) {
	if e.further != nil {
		*m = e.further.Add.(corev1.VolumeMount)
		return
	}
	e.rules.setMount(m, e.name)
}

// containerIndex returns the index of the container that e is about, among all that get
// mounts, the initContainers first; it is negative if there is none.
func (e *Edit) containerIndex(spec *corev1.PodSpec) int {
	switch e.Field {
	case podrules.InitContainers:
		return e.Container
	case podrules.Containers:
		return len(spec.InitContainers) + e.Container
	}
	return -1
}

// containerAt returns the container that has the index.
func containerAt(spec *corev1.PodSpec, index int) *corev1.Container {
	if n := len(spec.InitContainers); index >= n {
		return &spec.Containers[index-n]
	}
	return &spec.InitContainers[index]
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
		text += ": " + names.Printable(v.Name) + " at " + v.MountPath
	case corev1.EnvVar:
		text += ": " + v.Name
	case []corev1.LocalObjectReference:
		all := make([]string, len(v))
		for i, ref := range v {
			all[i] = names.Printable(ref.Name)
		}
		text += ": " + strings.Join(all, ", ")
	}
	return text + " (" + e.Why() + ")"
}

func (e *Edit) verb() string {
	switch {
	case e.Keep:
		return "keep"
	case e.Field == podrules.Volumes || e.Field == podrules.InitContainers || e.Field == podrules.Containers:
		return "add to"
	}
	return "set"
}

func (e *Edit) path() string {
	switch e.Field {
	case "":
		return "pod"
	case podrules.InitContainers, podrules.Containers:
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

// reasons has the texts of all of them.
var reasons = [...]string{
	noPod:                   "there is none",
	ignoredRequest:          "other requests are ignored",
	otherRequest:            "only pods that are created are changed",
	mirrorPod:               "it is a mirror pod",
	validateOnly:            "it is only validated",
	podNamesAccount:         "the pod names {name}",
	oldFieldNamesAccount:    "spec.serviceAccount, its old name, has it",
	podNamesNoAccount:       "the pod names no account",
	oldFieldFollows:         "it is the old name of spec.serviceAccountName",
	tokensAreOff:            "tokens are never mounted here",
	podOptsOut:              "automountServiceAccountToken of the pod is false",
	accountOptsOut:          "automountServiceAccountToken of the account is false",
	noContainers:            "the pod has no containers",
	noTokenSecret:           "the account has no token Secret",
	noContainerNeedsToken:   "no container needs the token",
	volumeIsThere:           "{name} is taken for the token's volume",
	volumeHasSecret:         "the token is in the Secret {detail}",
	volumeProjects:          "it projects the token, {ca} and the namespace",
	pathIsFree:              "container {detail} has nothing mounted there",
	pathIsTaken:             "container {detail} has something mounted at {path}",
	containerOptsOut:        "container {detail} is listed in the annotation {annotation}",
	podHasPullSecrets:       "the pod has its own",
	accountHasNoPullSecrets: "the account has none either",
	podHasNoPullSecrets:     "the pod has none of its own",

	projectsNoToken: "; {detail} projects no token",
	otherFile:       "; {detail} projects its token as another file than " + tokenFile,
	otherAudience:   "; {detail} projects a token for another audience than {audience}",
	otherLifetime:   "; {detail} projects a token that lives for another time than {lifetime} s",
	otherSources:    "; {detail} does not project exactly that",
}

// Why says why the field is changed or kept. It is for people, and may change
// from release to release. Names in it are cut and escaped if they are none.
func (e *Edit) Why() string {
	if e.further != nil {
		return e.further.Why()
	}
	values := []string{"{name}", names.Printable(e.name), "{detail}", names.Printable(e.detail)}
	if r := e.rules; r != nil {
		ca, audience := "the ConfigMap "+r.RootCAConfigMap, "the API server's"
		if r.RootCASigner != "" {
			ca = "the ClusterTrustBundles of " + r.RootCASigner
		}
		if r.Audience != "" {
			audience = strconv.Quote(r.Audience)
		}
		values = append(values, "{path}", r.MountPath, "{annotation}", r.OptOutAnnotation,
			"{ca}", ca, "{audience}", audience, "{lifetime}", strconv.FormatInt(r.lifetime, 10))
	}
	return strings.NewReplacer(values...).Replace(reasons[e.why] + reasons[e.but])
}
