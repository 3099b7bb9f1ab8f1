// SPDX-License-Identifier: Apache-2.0

// Renders a Helm chart as Helm does: Go's text/template with sprig's functions and Helm's own that charts here use. For
// machines without helm, which Debian does not package.
//
//	render CHART RELEASE NAMESPACE [VALUES.yaml ...]
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/ghodss/yaml"
)

type values = map[string]interface{}

func read(path string) (values, error) {
	text, err := ioutil.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := values{}
	return out, yaml.Unmarshal(text, &out)
}

// As Helm: tables join, everything else is replaced.
func join(into, from values) values {
	for key, value := range from {
		below, isTable := value.(values)
		before, wasTable := into[key].(values)
		if isTable && wasTable {
			into[key] = join(before, below)
		} else {
			into[key] = value
		}
	}
	return into
}

func functions(all *template.Template) template.FuncMap {
	out := sprig.TxtFuncMap()
	out["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	out["include"] = func(name string, data interface{}) (string, error) {
		var text bytes.Buffer
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	out["required"] = func(complaint string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(complaint)
		}
		return value, nil
	}
	return out
}

// What templates see as `.`. The chart's keys are spelled as Go's fields there.
func scope(chart, release, namespace string, files []string) (values, error) {
	about, err := read(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	given, err := read(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		more, err := read(path)
		if err != nil {
			return nil, err
		}
		given = join(given, more)
	}
	named := values{}
	for key, value := range about {
		named[strings.ToUpper(key[:1])+key[1:]] = value
	}
	return values{"Values": given, "Chart": named,
		"Release": values{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "Revision": 1}}, nil
}

func render(chart string, data values) error {
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(functions(all))
	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := ioutil.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := all.New(filepath.Base(path)).Parse(string(text)); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if filepath.Ext(path) != ".yaml" {
			continue
		}
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, filepath.Base(path), data); err != nil {
			return err
		}
		fmt.Printf("---\n# %s\n%s\n", filepath.Base(path), text.String())
	}
	return nil
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: render CHART RELEASE NAMESPACE [VALUES.yaml ...]")
		os.Exit(2)
	}
	data, err := scope(os.Args[1], os.Args[2], os.Args[3], os.Args[4:])
	if err == nil {
		err = render(os.Args[1], data)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
