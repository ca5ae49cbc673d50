package apiserver

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	listvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// fromQuery reads the query of a request into options, with the function of
// apimachinery that knows its parameters.
func fromQuery[T any](c *call, convert func(*url.Values, *T, conversion.Scope) error) (T, error) {
	var opts T
	if err := convert(&c.query, &opts, nil); err != nil {
		return opts, apierrors.NewBadRequest(err.Error())
	}
	return opts, nil
}

// invalidOptions returns the API server's 422 for options of a request.
func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

func (c *call) createOptions() (metav1.CreateOptions, error) {
	opts, err := fromQuery(c, metav1.Convert_url_Values_To_v1_CreateOptions)
	if err != nil {
		return opts, err
	}
	errs := validation.ValidateCreateOptions(&opts)
	opts.FieldManager = cmp.Or(opts.FieldManager, c.program())
	return opts, invalidOptions("CreateOptions", errs)
}

func (c *call) updateOptions() (metav1.UpdateOptions, error) {
	opts, err := fromQuery(c, metav1.Convert_url_Values_To_v1_UpdateOptions)
	if err != nil {
		return opts, err
	}
	errs := validation.ValidateUpdateOptions(&opts)
	opts.FieldManager = cmp.Or(opts.FieldManager, c.program())
	return opts, invalidOptions("UpdateOptions", errs)
}

func (c *call) patchOptions(pt types.PatchType) (metav1.PatchOptions, error) {
	opts, err := fromQuery(c, metav1.Convert_url_Values_To_v1_PatchOptions)
	if err != nil {
		return opts, err
	}
	errs := validation.ValidatePatchOptions(&opts, pt)
	opts.FieldManager = cmp.Or(opts.FieldManager, c.program())
	return opts, invalidOptions("PatchOptions", errs)
}

// program returns the name of the client's program, which owns the fields that it writes
// if it doesn't say who does.
func (c *call) program() string {
	name, _, _ := strings.Cut(c.request.UserAgent(), "/")
	name = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, name)
	return strings.ToValidUTF8(name[:min(len(name), validation.FieldManagerMaxLength)], "")
}

func (c *call) getOptions() (metav1.GetOptions, error) {
	opts, err := fromQuery(c, metav1.Convert_url_Values_To_v1_GetOptions)
	if err != nil {
		return opts, err
	}
	_, err = store.ParseRevision(opts.ResourceVersion)
	return opts, err
}

// listOptions reads the query of a list, a watch or the deletion of a collection.
func (c *call) listOptions() (metav1.ListOptions, error) {
	opts, err := fromQuery(c, metav1.Convert_url_Values_To_v1_ListOptions)
	if err != nil {
		return opts, err
	}
	checked := internalversion.ListOptions{ // what is compared with each other
		Watch: opts.Watch, ResourceVersion: opts.ResourceVersion, ResourceVersionMatch: opts.ResourceVersionMatch,
		Continue: opts.Continue, SendInitialEvents: opts.SendInitialEvents,
	}
	internalversion.SetListOptionsDefaults(&checked, true)
	return opts, invalidOptions("ListOptions", listvalidation.ValidateListOptions(&checked, true))
}

// deleteOptions come in the body, or in the query if there is no body.
func (c *call) deleteOptions() (metav1.DeleteOptions, error) {
	var opts metav1.DeleteOptions
	data, err := c.body()
	if err != nil {
		return opts, err
	}
	if len(data) == 0 {
		opts, err = fromQuery(c, metav1.Convert_url_Values_To_v1_DeleteOptions)
	} else {
		err = c.decode(data, &opts, metav1.FieldValidationIgnore, deleteOptionsKinds()...)
	}
	if err != nil {
		return opts, err
	}
	return opts, invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(&opts))
}

// tableOptions validates what the rows of tables are to hold.
func (c *call) tableOptions() error {
	opts, err := fromQuery(c, metav1.Convert_url_Values_To_v1_TableOptions)
	if err != nil {
		return err
	}
	if errs := validation.ValidateTableOptions(&opts); len(errs) > 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("Unable to convert to Table as requested: %v", errs[0]))
	}
	return nil
}

// maxRequest bounds the time of a request that is no watch.
const maxRequest = time.Minute

// limitTime ends the context of the call after the time that the query asks for, at
// most maxRequest.
func (c *call) limitTime() (context.CancelFunc, error) {
	limit := maxRequest
	if text := c.query.Get("timeout"); text != "" {
		asked, err := time.ParseDuration(text)
		if err != nil {
			return nil, apierrors.NewBadRequest("invalid timeout specified in the request URL - " + err.Error())
		}
		if asked > 0 {
			limit = min(limit, asked)
		}
	}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(c.ctx, limit)
	return cancel, nil
}
