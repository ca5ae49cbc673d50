// Package tokenrequest answers TokenRequests as kube-apiserver does.
package tokenrequest
