package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// registryRecipe is the version of Apicurio Registry to fetch, the newest that runs on Java 17.
const registryRecipe = "java/apicurio.version"

// registry is a schema registry that keeps its schemas in a compacted topic, and has nothing else to keep them in.
func registry() *suite {
	return &suite{client: "Apicurio Registry", patience: 3 * time.Minute, version: func() string { return pinned(registryRecipe, "") }, need: needRegistry, cases: []testCase{
		{"schemas outlive the registry", schemasOutlive},
	}}
}

func needRegistry(ctx context.Context, e *env) error {
	if err := have("java", "mvn", "tar"); err != nil {
		return err
	}
	artifact := "io.apicurio:apicurio-registry-app:" + pinned(registryRecipe, "") + ":tar.gz:all"
	_, err := once(e, "registry", registryRecipe, func(dir string) error {
		if err := quiet(ctx, dir, "mvn", "-q", "-B", "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir); err != nil {
			return err
		}
		packed, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
		if err != nil || len(packed) != 1 {
			return errors.Join(err, fmt.Errorf("%d archives", len(packed)))
		}
		return errors.Join(quiet(ctx, dir, "tar", "xzf", packed[0]), os.Remove(packed[0]))
	})
	return err
}

// schemasOutlive registers schemas, ends the registry, and finds them again through a new one.
func schemasOutlive(ctx context.Context, e *env) error {
	compact := "compact"
	topic, err := e.topicNamed(ctx, e.name("_schemas"), 1, map[string]*string{"cleanup.policy": &compact})
	if err != nil {
		return err
	}
	first, err := e.startRegistry(ctx, topic)
	if err != nil {
		return err
	}
	for i := range 3 {
		schema := fmt.Sprintf(`{"type":"record","name":"Order","fields":[{"name":"f%d","type":"string"}]}`, i)
		if err := first.register(ctx, fmt.Sprint("orders-", i), schema); err != nil {
			first.stop()
			return err
		}
	}
	first.stop()
	second, err := e.startRegistry(ctx, topic)
	if err != nil {
		return err
	}
	defer second.stop()
	var subjects []string
	return await(ctx, func() (bool, error) {
		err := second.get(ctx, "/subjects", &subjects)
		return len(subjects) == 3, err
	})
}

// registryServer is a running registry; its address speaks Confluent's protocol.
type registryServer struct {
	address string
	java    *exec.Cmd
}

func (e *env) startRegistry(ctx context.Context, topic string) (*registryServer, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	jars, err := filepath.Glob(filepath.Join(e.cache, "registry", "*-runner.jar"))
	if err != nil || len(jars) != 1 {
		return nil, errors.Join(err, fmt.Errorf("%d registries are installed", len(jars)))
	}
	r := &registryServer{address: fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", port)}
	r.java = exec.CommandContext(ctx, "java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dapicurio.storage.kind=kafkasql", "-Dapicurio.kafkasql.bootstrap.servers="+e.bootstrap,
		"-Dapicurio.kafkasql.topic="+topic, fmt.Sprintf("-Dquarkus.http.port=%d", port), "-Dquarkus.http.host=127.0.0.1", "-jar", jars[0])
	r.java.Dir = e.dir
	if err := r.java.Start(); err != nil {
		return nil, err
	}
	err = await(ctx, func() (bool, error) {
		var subjects []string
		return r.get(ctx, "/subjects", &subjects) == nil, nil
	})
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("the registry does not come up: %w", err)
	}
	return r, nil
}

func (r *registryServer) stop() {
	r.java.Process.Kill()
	r.java.Wait()
}

func (r *registryServer) register(ctx context.Context, subject, schema string) error {
	body, err := json.Marshal(map[string]string{"schema": schema})
	if err != nil {
		return err
	}
	var told struct{ ID int }
	return r.exchange(ctx, http.MethodPost, "/subjects/"+subject+"/versions", body, &told)
}

func (r *registryServer) get(ctx context.Context, path string, into any) error {
	return r.exchange(ctx, http.MethodGet, path, nil, into)
}

func (r *registryServer) exchange(ctx context.Context, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%s %s: %s: %.200s", method, path, resp.Status, text))
	}
	return json.Unmarshal(text, into)
}
