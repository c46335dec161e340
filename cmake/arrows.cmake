# The only copy of the table of allowed arrows: what a module may include and link.
# One line a module: "path: what it may reach". Arrows point down only (docs/architecture.md);
# luna_module() links exactly these, and tests/layering checks every #include against them.
# common/base is allowed everywhere and not listed.
set(LUNA_ARROWS
  "common/base:"
  "common/types:"
  "common/hash:"
  "common/log:"
  "common/local: common/types"
  "common/model_files: common/types common/hash common/local"
  "common/config: common/types"
  "common/image:"
  "common/prompt:"
  "common/wire: common/types proto/luna/v1"
  "proto/luna/v1:"
  "proto/luna/v1/services: proto/luna/v1"

  "daemon/ipc/protocol: common/types common/local"
  "daemon/ipc/transport: common/local common/log"
  "daemon/ipc/session: daemon/ipc/protocol daemon/ipc/transport common/types common/local common/log"

  "daemon/front/core: common/types common/config common/hash common/local common/model_files common/log"
  "daemon/front/dispatch: daemon/front/core daemon/ipc/session daemon/ipc/protocol common/types common/hash common/local common/model_files common/log"
  "daemon/front/supervisor: daemon/front/core daemon/ipc/session daemon/ipc/transport daemon/ipc/protocol common/types common/config common/local common/log"
  "daemon/front/api: daemon/front/core common/types common/wire common/local common/log proto/luna/v1 proto/luna/v1/services"
  "daemon/front/local: daemon/front/core daemon/ipc/transport common/types common/config common/wire common/local common/log proto/luna/v1"
  "daemon/front/metrics: common/types"
  "daemon/front: daemon/front/api daemon/front/local daemon/front/core daemon/front/metrics daemon/front/dispatch daemon/front/supervisor daemon/ipc/session daemon/ipc/transport common/types common/config common/local common/log"

  "daemon/worker/cuda: common/types"
  "daemon/worker/ops: daemon/worker/cuda common/types"
  "daemon/worker/formats: common/types"
  "daemon/worker/tokenizers: common/prompt common/types"
  "daemon/worker/precision: daemon/worker/ops common/types"
  "daemon/worker/weights: daemon/worker/formats daemon/worker/precision daemon/worker/ops common/types common/hash common/local common/model_files common/log"
  "daemon/worker/layers: daemon/worker/weights daemon/worker/ops common/types"
  "daemon/worker/models: daemon/worker/layers daemon/worker/weights daemon/worker/ops common/types common/log"
  "daemon/worker/adapters: daemon/worker/models daemon/worker/layers daemon/worker/weights daemon/worker/formats daemon/worker/ops common/types common/local"
  "daemon/worker/sampling: daemon/worker/ops common/types"
  "daemon/worker/residency: daemon/worker/adapters daemon/worker/layers daemon/worker/models daemon/worker/weights daemon/worker/precision daemon/worker/formats daemon/worker/tokenizers daemon/worker/ops daemon/worker/cuda common/types common/local common/model_files common/log"
  "daemon/worker/engine: daemon/worker/residency daemon/worker/adapters daemon/worker/layers daemon/worker/weights daemon/worker/models daemon/worker/sampling daemon/worker/tokenizers daemon/worker/ops daemon/worker/cuda common/types common/log"
  "daemon/worker/exchange: daemon/worker/ops daemon/worker/cuda common/types common/local common/log"
  "daemon/worker/steps: daemon/worker/engine daemon/worker/ops common/types common/wire common/local common/log proto/luna/v1"
  "daemon/worker/host: daemon/worker/steps daemon/worker/engine daemon/worker/residency daemon/worker/weights daemon/worker/exchange daemon/worker/cuda daemon/ipc/session daemon/ipc/transport daemon/ipc/protocol common/types common/local common/log"
  "daemon/worker: daemon/worker/host daemon/worker/cuda common/log common/types"

  "tests/support: common/types common/local"

  "client/include: client/service common/types common/image"
  "client/service: common/types"
  "client/pipeline: client/include client/service common/types common/image common/prompt common/log"
  "client/rpc: client/service common/types common/wire common/hash common/local common/log proto/luna/v1 proto/luna/v1/services"
  "client/facade: client/include client/service client/pipeline client/rpc common/types common/image common/log"
  "client/cli: client/facade client/include client/service common/types common/image common/config common/local common/log"
)
