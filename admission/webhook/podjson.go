package webhook

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// podJSON is what is read of a pod in a review: all that decisions and patches
// depend on, and no more.
type podJSON struct {
	present          bool
	apiVersion, kind string
	hasSpec          bool
	// pod has the fields that decisions depend on. Slices are nil if there is no
	// array to add to. Of env and envFrom only references to Secrets are kept.
	pod corev1.Pod
	// nulls has the containers that are null.
	nulls map[position]bool
}

// A position is that of a container in its list.
type position struct {
	init bool
	i    int
}

// isNull reports whether the container that e is about is null.
func (p *podJSON) isNull(e *admission.Edit) bool {
	return p.nulls[position{e.Field == "initContainers", e.Container}]
}

func (p *podJSON) read(s *scanner, annotations []string) error {
	var err error
	p.present, err = s.object(func(key string) error {
		switch key {
		case "apiVersion":
			return s.str(&p.apiVersion)
		case "kind":
			return s.str(&p.kind)
		case "metadata":
			return p.metadata(s, annotations)
		case "spec":
			var err error
			p.hasSpec, err = s.object(func(key string) error { return p.spec(s, key) })
			return err
		}
		return s.skip()
	})
	return err
}

func (p *podJSON) readMetadataOnly(s *scanner) error {
	_, err := s.object(func(key string) error {
		if key == "metadata" {
			return p.metadata(s, enforceOnly)
		}
		return s.skip()
	})
	return err
}

func (p *podJSON) metadata(s *scanner, annotations []string) error {
	_, err := s.object(func(key string) error {
		switch key {
		case "name":
			return s.str(&p.pod.Name)
		case "generateName":
			return s.str(&p.pod.GenerateName)
		case "annotations":
			_, err := s.object(func(key string) error {
				if !slices.Contains(annotations, key) {
					return s.skip()
				}
				if p.pod.Annotations == nil {
					p.pod.Annotations = map[string]string{}
				}
				var value string
				err := s.str(&value)
				p.pod.Annotations[key] = value
				return err
			})
			return err
		}
		return s.skip()
	})
	return err
}

func (p *podJSON) spec(s *scanner, key string) (err error) {
	spec := &p.pod.Spec
	switch key {
	case "serviceAccountName":
		return s.str(&spec.ServiceAccountName)
	case "serviceAccount":
		return s.str(&spec.DeprecatedServiceAccount)
	case "automountServiceAccountToken":
		return s.boolean(&spec.AutomountServiceAccountToken)
	case "imagePullSecrets":
		spec.ImagePullSecrets, err = readList(s, readName)
		return err
	case "initContainers":
		spec.InitContainers, err = p.containers(s, true)
		return err
	case "containers":
		spec.Containers, err = p.containers(s, false)
		return err
	case "ephemeralContainers":
		spec.EphemeralContainers, err = readList(s, readEphemeral)
		return err
	case "volumes":
		spec.Volumes, err = readList(s, readVolume)
		return err
	}
	return s.skip()
}

func (p *podJSON) containers(s *scanner, init bool) ([]corev1.Container, error) {
	i := -1
	return readList(s, func(s *scanner, c *corev1.Container) error {
		if i++; s.Next() == 'n' {
			if p.nulls == nil {
				p.nulls = map[position]bool{}
			}
			p.nulls[position{init, i}] = true
		}
		return readContainer(s, c)
	})
}

// readList reads an array. It returns nil if there is none, or it is null.
func readList[T any](s *scanner, read func(*scanner, *T) error) ([]T, error) {
	var list []T
	present, err := s.array(func(int) error {
		if !s.keep() {
			return s.skip()
		}
		if n := len(list); n == cap(list) && n < 64 {
			list = slices.Grow(list, 3*n+1) // most lists have 1 or up to 5 elements
		}
		list = append(list, *new(T))
		return read(s, &list[len(list)-1])
	})
	if present && list == nil {
		list = []T{}
	}
	return list, err
}

func readContainer(s *scanner, c *corev1.Container) error {
	_, err := s.object(func(key string) (err error) {
		switch key {
		case "name":
			return s.str(&c.Name)
		case "volumeMounts":
			c.VolumeMounts, err = readList(s, readMount)
			return err
		case "env":
			c.Env, err = readEnv(s)
			return err
		case "envFrom":
			c.EnvFrom, err = readEnvFrom(s)
			return err
		}
		return s.skip()
	})
	return err
}

func readEphemeral(s *scanner, c *corev1.EphemeralContainer) error {
	_, err := s.object(func(key string) (err error) {
		switch key {
		case "name":
			return s.str(&c.Name)
		case "env":
			c.Env, err = readEnv(s)
			return err
		case "envFrom":
			c.EnvFrom, err = readEnvFrom(s)
			return err
		}
		return s.skip()
	})
	return err
}

func readMount(s *scanner, m *corev1.VolumeMount) error {
	_, err := s.object(func(key string) error {
		if key == "mountPath" {
			return s.str(&m.MountPath)
		}
		return s.skip()
	})
	return err
}

// readEnv keeps the variables that come from Secrets.
func readEnv(s *scanner) ([]corev1.EnvVar, error) {
	var list []corev1.EnvVar
	_, err := s.array(func(int) error {
		var name string
		var ref *corev1.SecretKeySelector
		_, err := s.object(func(key string) error {
			switch key {
			case "name":
				return s.str(&name)
			case "valueFrom":
				_, err := s.object(func(key string) error {
					if key != "secretKeyRef" {
						return s.skip()
					}
					var at corev1.LocalObjectReference
					present, err := readRef(s, &at)
					if present {
						ref = &corev1.SecretKeySelector{LocalObjectReference: at}
					}
					return err
				})
				return err
			}
			return s.skip()
		})
		if ref != nil && s.keep() {
			list = append(list, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}})
		}
		return err
	})
	return list, err
}

// readEnvFrom keeps the sources that are Secrets.
func readEnvFrom(s *scanner) ([]corev1.EnvFromSource, error) {
	var list []corev1.EnvFromSource
	_, err := s.array(func(int) error {
		_, err := s.object(func(key string) error {
			if key != "secretRef" {
				return s.skip()
			}
			var at corev1.LocalObjectReference
			present, err := readRef(s, &at)
			if present && s.keep() {
				list = append(list, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: at}})
			}
			return err
		})
		return err
	})
	return list, err
}

func readName(s *scanner, ref *corev1.LocalObjectReference) error {
	_, err := readRef(s, ref)
	return err
}

// readRef reads an object with a name, and reports whether there was one.
func readRef(s *scanner, ref *corev1.LocalObjectReference) (bool, error) {
	return readField(s, "name", &ref.Name)
}

// readField reads one text of an object, and reports whether there was an object.
func readField(s *scanner, field string, dst *string) (bool, error) {
	return s.object(func(key string) error {
		if key == field {
			return s.str(dst)
		}
		return s.skip()
	})
}
