package differential

import (
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// M are the fields of a struct by name, and L the elements of an array: requests as they are written in stories.
type (
	M map[string]any
	L []any
)

// request makes a request whose other fields have the protocol's defaults.
func request(key int16, fields M) kmsg.Request {
	req := kmsg.RequestForKey(key)
	req.(interface{ Default() }).Default()
	fill(reflect.ValueOf(req).Elem(), fields)
	return req
}

func fill(v reflect.Value, x any) {
	switch x := x.(type) {
	case nil:
		v.SetZero()
	case M:
		for name, field := range x { // order: fields are apart
			f := v.FieldByName(name)
			if !f.IsValid() {
				panic(fmt.Sprintf("%s has no field %s", v.Type(), name))
			}
			fill(f, field)
		}
	case L:
		fillSlice(v, x)
	default:
		fillScalar(v, reflect.ValueOf(x))
	}
}

func fillSlice(v reflect.Value, x L) {
	v.Set(reflect.MakeSlice(v.Type(), len(x), len(x)))
	for i, e := range x {
		if d, ok := v.Index(i).Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		fill(v.Index(i), e)
	}
}

func fillScalar(v, x reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	v.Set(x.Convert(v.Type()))
}
