package clientgo

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubesa/serviceaccount/fake/clientgo/internal/apiserver"
)

// reactor answers the actions of a clientset. The clientset calls it under its
// lock, and gives it no context.
type reactor struct{ server *apiserver.Server }

// react answers every call for the seven kinds but watches.
func (r reactor) react(action clienttesting.Action) (handled bool, answer runtime.Object, err error) {
	resource := r.server.Resource(action.GetResource())
	if resource == nil {
		return false, nil, nil
	}
	ctx, namespace, sub := context.Background(), action.GetNamespace(), action.GetSubresource()
	switch a := action.(type) {
	case clienttesting.GetActionImpl:
		answer, err = resource.Get(ctx, namespace, a.Name, sub)
	case clienttesting.ListActionImpl:
		answer, err = resource.List(ctx, namespace, a.ListOptions)
	case clienttesting.CreateActionImpl:
		if sub == "" {
			answer, err = resource.Create(ctx, namespace, a.Object, a.CreateOptions)
			break
		}
		answer, err = r.server.CreateSubresource(ctx, resource, namespace, a.Name, sub, a.Object, a.CreateOptions)
	case clienttesting.UpdateActionImpl:
		answer, err = resource.Update(ctx, namespace, sub, a.Object, a.UpdateOptions)
	case clienttesting.PatchActionImpl:
		answer, err = resource.Patch(ctx, namespace, a.Name, sub, a.PatchType, a.Patch, a.PatchOptions)
	case clienttesting.DeleteActionImpl:
		err = r.delete(ctx, resource, a)
	case clienttesting.DeleteCollectionActionImpl:
		err = resource.DeleteCollection(ctx, namespace, a.DeleteOptions, a.ListOptions)
	default: // logs of a Pod
		return false, nil, nil
	}
	return true, answer, err
}

func (r reactor) delete(ctx context.Context, resource *apiserver.Resource, a clienttesting.DeleteActionImpl) error {
	if a.Subresource != "" {
		return resource.NoSubresource(a.Subresource, a.Name)
	}
	return resource.Delete(ctx, a.Namespace, a.Name, a.DeleteOptions)
}

// watch answers the watches of the seven kinds. Nothing but Stop ends one, and
// what ends all of them: see the Cluster's Compact and DropWatches.
func (r reactor) watch(action clienttesting.Action) (handled bool, w watch.Interface, err error) {
	resource := r.server.Resource(action.GetResource())
	if resource == nil {
		return false, nil, nil
	}
	var opts metav1.ListOptions
	if a, ok := action.(clienttesting.WatchActionImpl); ok {
		opts = a.ListOptions
	}
	w, err = resource.Watch(context.Background(), action.GetNamespace(), opts)
	return true, w, err
}

// review answers the kinds of authentication.k8s.io.
func (r reactor) review(action clienttesting.Action) (handled bool, answer runtime.Object, err error) {
	gvr := action.GetResource()
	a, ok := action.(clienttesting.CreateActionImpl)
	if gvr.Group != authenticationv1.GroupName || !ok {
		return false, nil, nil
	}
	for _, review := range r.server.Reviews() {
		if review.GVR == gvr {
			answer, err = review.Create(context.Background(), a.Namespace, a.Object)
			return true, answer, err
		}
	}
	return true, nil, apierrors.NewNotFound(gvr.GroupResource(), "")
}
