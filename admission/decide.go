package admission

import (
	"errors"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/budget"
	"github.com/kubesa/serviceaccount/admission/internal/podrules"
)

// decide appends to edits what a pod that is created gets, and what it doesn't
// and why. token is the Secret to mount, for SecretBacked. It changes nothing. The
// error is a denial.
//
// Every other description of the change is a rendering of these edits:
// [Decision.Apply], [Edit.AppendJSON], [Edit.Value] and [Edit.Why].
func (r *rules) decide(b *budget.Budget, edits []Edit, req *Request, account *corev1.ServiceAccount, token string) ([]Edit, error) {
	pod := req.Pod
	edits = r.decideAccount(edits, &pod.Spec)
	edits, err := r.decideToken(b, edits, pod, account, token)
	if err != nil {
		return nil, err
	}
	if edits, err = r.decideFurther(b, edits, req, account); err != nil {
		return nil, err
	}
	return decidePullSecrets(edits, &pod.Spec, account), nil
}

// The fields of a pod's spec that are changed.
const (
	fieldAccount     = "serviceAccountName"
	fieldOldAccount  = "serviceAccount"
	fieldPullSecrets = "imagePullSecrets"
)

func (r *rules) decideAccount(edits []Edit, spec *corev1.PodSpec) []Edit {
	name := r.accountName(spec)
	edits, e := appendEdit(edits, fieldAccount)
	e.name = name
	switch {
	case spec.ServiceAccountName != "":
		e.Keep, e.why = true, podNamesAccount
	case spec.DeprecatedServiceAccount != "":
		e.why = oldFieldNamesAccount
	default:
		e.why = podNamesNoAccount
	}
	if spec.DeprecatedServiceAccount != name {
		edits, e = appendEdit(edits, fieldOldAccount)
		e.name, e.why = name, oldFieldFollows
	}
	return edits
}

// appendEdit appends an edit of field, whose other fields are set in place: to copy an
// edit that was just set takes longer than most decisions.
func appendEdit(edits []Edit, field string) ([]Edit, *Edit) {
	edits = append(edits, Edit{})
	e := &edits[len(edits)-1]
	e.Field = field
	return edits, e
}

func (r *rules) accountName(spec *corev1.PodSpec) string {
	if name := givenAccount(spec); name != "" {
		return name
	}
	return r.DefaultAccount
}

// givenAccount does what the defaulting of the v1 API does before admission sees
// a pod: the deprecated field counts if the other is empty (ADM-13).
func givenAccount(spec *corev1.PodSpec) string {
	if spec.ServiceAccountName != "" {
		return spec.ServiceAccountName
	}
	return spec.DeprecatedServiceAccount
}

// decideToken decides about the token volume and its mounts. The volume comes
// first and is added if the first container needs it.
func (r *rules) decideToken(b *budget.Budget, edits []Edit, pod *corev1.Pod, account *corev1.ServiceAccount, token string) ([]Edit, error) {
	spec := &pod.Spec
	switch automount := r.automount(spec, account); {
	case automount != automountOn:
		return append(edits, Edit{Field: podrules.Volumes, Keep: true, why: automount}), nil
	case r.TokenVolume == SecretBacked && token == "" && !r.AllowMissingToken:
		return nil, denyNoToken(account)
	case len(spec.InitContainers)+len(spec.Containers) == 0:
		return append(edits, Edit{Field: podrules.Volumes, Keep: true, why: noContainers}), nil
	case r.TokenVolume == SecretBacked && token == "":
		return append(edits, Edit{Field: podrules.Volumes, Keep: true, why: noTokenSecret}), nil
	}
	volume := len(edits)
	edits = append(edits, Edit{Field: podrules.Volumes, Keep: true, why: noContainerNeedsToken})
	optedOut, err := podrules.Listed(b, spec, podrules.Annotation(pod.Annotations, r.OptOutAnnotation), ",")
	if err != nil {
		return nil, err
	}
	lists := podrules.Lists(spec)
	for l := range lists {
		list := &lists[l]
		for i := range list.Containers {
			c := &list.Containers[i]
			mounted, err := podrules.MountAt(b, c, r.MountPath, r.Strict)
			if err != nil {
				return nil, err
			}
			var e *Edit
			edits, e = appendEdit(edits, list.Field)
			e.Container, e.detail, e.rules = i, c.Name, r
			switch {
			case mounted != nil:
				e.Keep, e.why = true, pathIsTaken
			case optedOut[c.Name]:
				e.Keep, e.why = true, containerOptsOut
			default:
				if edits[volume].why == noContainerNeedsToken {
					if err := r.decideVolume(b, &edits[volume], spec.Volumes, token); err != nil {
						return nil, err
					}
				}
				e.name, e.why = edits[volume].name, pathIsFree
			}
		}
	}
	return edits, nil
}

// automount says whether the pod gets a token: it says so, or its account does,
// or both are silent.
func (r *rules) automount(spec *corev1.PodSpec, account *corev1.ServiceAccount) why {
	switch {
	case r.DisableTokenMount:
		return tokensAreOff
	case spec.AutomountServiceAccountToken != nil:
		if !*spec.AutomountServiceAccountToken {
			return podOptsOut
		}
	case account.AutomountServiceAccountToken != nil:
		if !*account.AutomountServiceAccountToken {
			return accountOptsOut
		}
	}
	return automountOn
}

// decideVolume sets e to the edit for the volume to mount: the one that is there,
// or a new one.
func (r *rules) decideVolume(b *budget.Budget, e *Edit, volumes []corev1.Volume, token string) error {
	v, lookAlike, err := r.existingVolume(b, volumes, token)
	if err != nil {
		return err
	}
	e.detail, e.rules = token, r
	if v != nil {
		e.name, e.Keep, e.why = v.Name, true, volumeIsThere
		return nil
	}
	e.Keep = false
	if lookAlike != nil {
		e.detail, e.but = lookAlike.Name, r.mismatch(lookAlike)
	}
	if e.why = volumeProjects; r.TokenVolume == SecretBacked {
		e.why = volumeHasSecret
	}
	e.name, err = r.newVolumeName(b, volumes, token)
	return err
}

func decidePullSecrets(edits []Edit, spec *corev1.PodSpec, account *corev1.ServiceAccount) []Edit {
	edits, e := appendEdit(edits, fieldPullSecrets)
	e.account = account
	switch {
	case len(spec.ImagePullSecrets) > 0:
		e.Keep, e.why = true, podHasPullSecrets
	case len(account.ImagePullSecrets) == 0:
		e.Keep, e.why = true, accountHasNoPullSecrets
	default:
		e.why = podHasNoPullSecrets
	}
	return edits
}

// decideFurther appends the edits for all further volumes.
func (r *rules) decideFurther(b *budget.Budget, edits []Edit, req *Request, account *corev1.ServiceAccount) ([]Edit, error) {
	if len(r.FurtherVolumes) == 0 {
		return edits, nil
	}
	further, err := furthervolume.Decide(b.Context, r.FurtherVolumes, req.Pod, account)
	if denial, ok := errors.AsType[*furthervolume.DenialError](err); ok {
		return nil, deny(req, denial.Problem)
	}
	for i := range further {
		e := &further[i]
		edits = append(edits, Edit{Field: e.Field, Container: e.Container, Env: e.Env, Keep: e.Add == nil, further: e})
	}
	return edits, err
}
