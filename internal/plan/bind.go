package plan

import (
	"fmt"
	"reflect"
)

// Bind gives a deep copy of a value in which the placeholders of every string
// are replaced as by [Expand]; keys of maps are left alone. An unknown
// placeholder is an error that names it. The copy shares nothing with the
// value.
func Bind[T any](value T, lookup func(name string) (string, bool)) (T, error) {
	var out T
	err := bind(reflect.ValueOf(&value).Elem(), reflect.ValueOf(&out).Elem(), lookup)
	return out, err
}

func bind(in, out reflect.Value, lookup func(string) (string, bool)) error {
	switch in.Kind() {
	case reflect.String:
		text, err := Expand(in.String(), lookup)
		out.SetString(text)
		return err
	case reflect.Struct:
		return bindStruct(in, out, lookup)
	case reflect.Pointer, reflect.Interface:
		return bindInside(in, out, lookup)
	case reflect.Slice:
		return bindSlice(in, out, lookup)
	case reflect.Map:
		return bindMap(in, out, lookup)
	default:
		out.Set(in)
		return nil
	}
}

func bindStruct(in, out reflect.Value, lookup func(string) (string, bool)) error {
	out.Set(in)
	for i := range in.NumField() {
		if !in.Type().Field(i).IsExported() {
			continue
		}
		if err := bind(in.Field(i), out.Field(i), lookup); err != nil {
			return fmt.Errorf("%s: %w", fieldName(in.Type().Field(i)), err)
		}
	}
	return nil
}

// bindInside copies what a pointer or an interface holds.
func bindInside(in, out reflect.Value, lookup func(string) (string, bool)) error {
	if in.IsNil() {
		return nil
	}
	inside := reflect.New(in.Elem().Type())
	if err := bind(in.Elem(), inside.Elem(), lookup); err != nil {
		return err
	}
	if in.Kind() == reflect.Pointer {
		out.Set(inside)
	} else {
		out.Set(inside.Elem())
	}
	return nil
}

func bindSlice(in, out reflect.Value, lookup func(string) (string, bool)) error {
	if in.IsNil() {
		return nil
	}
	out.Set(reflect.MakeSlice(in.Type(), in.Len(), in.Len()))
	for i := range in.Len() {
		if err := bind(in.Index(i), out.Index(i), lookup); err != nil {
			return err
		}
	}
	return nil
}

func bindMap(in, out reflect.Value, lookup func(string) (string, bool)) error {
	if in.IsNil() {
		return nil
	}
	out.Set(reflect.MakeMapWithSize(in.Type(), in.Len()))
	for key, value := range in.Seq2() {
		copied := reflect.New(in.Type().Elem()).Elem()
		if err := bind(value, copied, lookup); err != nil {
			return fmt.Errorf("%v: %w", key, err)
		}
		out.SetMapIndex(key, copied)
	}
	return nil
}
