// All clusters of a launch, over the host's threads. A cluster that polls for what only another cluster can do is set aside; those set
// aside take turns once all others are done. When a whole round of them changes nothing, nothing ever will.
#include "runtime/core/ThreadPool.h"
#include "runtime/device/sim/Machine.h"

namespace leat::sim {

namespace {

// A GPU holds so many CTAs at a time; when more than that wait for others, the others never start.
constexpr size_t residentCtas = 132 * 32;

class Grid {
public:
  Grid(Launch &launch, int threads, Counters &counters) : launch(launch), counters(counters), idle(threads) {}

  void runOne(u64 index, int worker) {
    if (stopped.load(std::memory_order_relaxed))
      return;
    if (!idle[worker]) {
      idle[worker] = std::make_unique<Cluster>();
      prepareCluster(*idle[worker], launch);
    }
    Cluster &cluster = *idle[worker];
    startCluster(cluster, index);
    bool room;
    {
      std::lock_guard lock(mutex);
      room = waiting.size() * cluster.ctas.size() < residentCtas;
    }
    ClusterState state = continueCluster(cluster, room);
    std::lock_guard lock(mutex);
    if (state == ClusterState::Waiting)
      waiting.push_back(std::move(idle[worker]));
    else
      finish(cluster, state);
  }

  void runWaiting() {
    while (!waiting.empty() && !stopped) {
      bool progress = false;
      for (size_t i = 0; i < waiting.size() && !stopped;) {
        Cluster &cluster = *waiting[i];
        u64 before = cluster.progress;
        ClusterState state = continueCluster(cluster, true);
        progress |= cluster.progress != before || state != ClusterState::Waiting;
        if (state == ClusterState::Waiting) {
          ++i;
          continue;
        }
        finish(cluster, state);
        waiting.erase(waiting.begin() + i);
      }
      if (!progress && !stopped) // reports the hang
        finish(*waiting[0], continueCluster(*waiting[0], false));
    }
  }

  bool finished() const { return !stopped; }

private:
  void finish(Cluster &cluster, ClusterState state) {
    counters.add(cluster.counters);
    if (state == ClusterState::Aborted)
      stopped = true;
  }

  Launch &launch;
  Counters &counters;
  std::vector<std::unique_ptr<Cluster>> idle; // one for each worker, to be used again
  std::vector<std::unique_ptr<Cluster>> waiting;
  std::mutex mutex;
  std::atomic<bool> stopped{false};
};

} // namespace

bool runGrid(Launch &launch, u64 clusters, int threads, Counters &counters) {
  Grid grid(launch, threads, counters);
  if (threads == 1) {
    for (u64 index = 0; index < clusters && grid.finished(); ++index)
      grid.runOne(index, 0);
  } else {
    rt::ThreadPool pool(threads);
    pool.forRange(i64(clusters), [&](i64 begin, i64 end, int worker) {
      for (i64 index = begin; index < end; ++index)
        grid.runOne(u64(index), worker);
    });
  }
  grid.runWaiting();
  return grid.finished();
}

} // namespace leat::sim
