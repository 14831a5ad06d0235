package main

import (
	"encoding"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/experiments/availability"
	"github.com/lockstep/lockstep/sim"
	"github.com/lockstep/lockstep/sim/mutant"
)

// What is printed or kept as JSON has names of one style.
func TestNamesInJSONAreCamelCase(t *testing.T) {
	for _, v := range []any{
		sim.Summary{}, sim.Record{}, sim.Entry{}, sim.Promise{}, outcome{}, explained{}, difference{}, shrunk{}, converted{}, mutant.Summary{}, availability.Report{},
	} {
		checkNames(t, reflect.TypeOf(v), map[reflect.Type]bool{})
	}
}

var camelCase = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

// checkNames looks at the fields of a type and of what they hold.
func checkNames(t *testing.T, of reflect.Type, seen map[reflect.Type]bool) {
	if seen[of] || of.Implements(reflect.TypeFor[json.Marshaler]()) || of.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return
	}
	seen[of] = true
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		checkNames(t, of.Elem(), seen)
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(of) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if !f.Anonymous && !camelCase.MatchString(name) {
				t.Errorf("%s.%s is %q", of, f.Name, name)
			}
			checkNames(t, f.Type, seen)
		}
	}
}
