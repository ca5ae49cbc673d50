package webhook

import corev1 "k8s.io/api/core/v1"

// readVolume reads what decisions depend on: a volume's name, and the sources that
// name Secrets or project a token.
func readVolume(s *scanner, v *corev1.Volume) error {
	_, err := s.object(func(key string) error {
		switch key {
		case "name":
			return s.str(&v.Name)
		case "projected":
			return readProjected(s, v)
		case "secret":
			return readSource(s, "secretName", func(name string, _ bool) {
				v.Secret = &corev1.SecretVolumeSource{SecretName: name}
			})
		case "azureFile":
			return readSource(s, "secretName", func(name string, _ bool) {
				v.AzureFile = &corev1.AzureFileVolumeSource{SecretName: name}
			})
		case "csi":
			return readSource(s, "nodePublishSecretRef", func(name string, ref bool) {
				v.CSI = &corev1.CSIVolumeSource{NodePublishSecretRef: reference(name, ref)}
			})
		case "cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos":
			return readSource(s, "secretRef", func(name string, ref bool) { setRef(v, key, reference(name, ref)) })
		}
		return s.skip()
	})
	return err
}

// readSource reads the field of a volume's source that names a Secret: a text, or
// an object with a name. It calls set if there is a source.
func readSource(s *scanner, field string, set func(name string, ref bool)) error {
	var name string
	var ref bool
	present, err := s.object(func(key string) (err error) {
		switch {
		case key != field:
			return s.skip()
		case field == "secretName":
			return s.str(&name)
		}
		ref, err = readField(s, "name", &name)
		return err
	})
	if present {
		set(name, ref)
	}
	return err
}

func reference(name string, present bool) *corev1.LocalObjectReference {
	if !present {
		return nil
	}
	return &corev1.LocalObjectReference{Name: name}
}

func setRef(v *corev1.Volume, source string, ref *corev1.LocalObjectReference) {
	switch source {
	case "cephfs":
		v.CephFS = &corev1.CephFSVolumeSource{SecretRef: ref}
	case "cinder":
		v.Cinder = &corev1.CinderVolumeSource{SecretRef: ref}
	case "flexVolume":
		v.FlexVolume = &corev1.FlexVolumeSource{SecretRef: ref}
	case "rbd":
		v.RBD = &corev1.RBDVolumeSource{SecretRef: ref}
	case "scaleIO":
		v.ScaleIO = &corev1.ScaleIOVolumeSource{SecretRef: ref}
	case "iscsi":
		v.ISCSI = &corev1.ISCSIVolumeSource{SecretRef: ref}
	case "storageos":
		v.StorageOS = &corev1.StorageOSVolumeSource{SecretRef: ref}
	}
}

func readProjected(s *scanner, v *corev1.Volume) error {
	present, err := s.object(func(key string) (err error) {
		if key != "sources" {
			return s.skip()
		}
		if v.Projected == nil {
			v.Projected = &corev1.ProjectedVolumeSource{}
		}
		v.Projected.Sources, err = readList(s, readProjection)
		return err
	})
	if present && v.Projected == nil {
		v.Projected = &corev1.ProjectedVolumeSource{}
	}
	return err
}

func readProjection(s *scanner, p *corev1.VolumeProjection) error {
	_, err := s.object(func(key string) error {
		switch key {
		case "secret":
			var secret corev1.SecretProjection
			present, err := readRef(s, &secret.LocalObjectReference)
			if present {
				p.Secret = &secret
			}
			return err
		case "serviceAccountToken":
			var token corev1.ServiceAccountTokenProjection
			present, err := readField(s, "path", &token.Path)
			if present {
				p.ServiceAccountToken = &token
			}
			return err
		}
		return s.skip()
	})
	return err
}
