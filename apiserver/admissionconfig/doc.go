// Package admissionconfig reads the configuration file of the admission plugin of package
// apiserver: what an [admission.Config] says, for operators, in YAML or JSON.
//
//	apiVersion: serviceaccount.kubesa.io/v1alpha1
//	kind: ServiceAccountConfiguration
//	strict: true
//	furtherVolumes:
//	- name: aws-iam-token
//	  when: {accountAnnotation: eks.amazonaws.com/role-arn}
//	  audience: sts.amazonaws.com
//	  mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount
//
// [Parse] reads a file; apiserver.RegisterAdmission does so when a server starts. A
// program that writes such files marshals a [ServiceAccountConfiguration].
//
// # Failure
//
// A field that is unknown, misspelled or set twice is an error, so nothing that was meant
// to restrict pods is ignored. What fits into a file and makes no sense to the plugin is
// for [admission.New] to find.
package admissionconfig
