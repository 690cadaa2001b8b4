#include "bench/report/plots.hpp"

#include <algorithm>
#include <fstream>
#include <vector>

namespace tlsmux::bench {
namespace {

// gnuplot's data blocks, one for each line of a plot: separated by two empty lines, named by their first.
struct Block {
  std::string name;
  std::string rows;
};

std::vector<Block> latency_blocks(const Results& results) {
  std::vector<Block> blocks;
  for (const auto& series : results.series) {
    if (series.workload != "warm" || series.distribution.empty()) continue;
    Block block{.name = series.system, .rows = ""};
    for (const auto& point : series.distribution) {
      block.rows += std::to_string(1 / (1 - point.fraction)) + " " + std::to_string(point.latency_us) + "\n";
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

// clients, rate, cost
std::vector<Block> farm_blocks(const Results& results) {
  std::vector<const Series*> farms;
  for (const auto& series : results.series) {
    if (series.workload.starts_with("farm") && !series.slices.empty()) farms.push_back(&series);
  }
  std::ranges::stable_sort(farms, {}, &Series::clients);
  std::vector<Block> blocks;
  for (const auto* farm : farms) {
    auto block = std::ranges::find(blocks, farm->system, &Block::name);
    if (block == blocks.end()) block = blocks.insert(blocks.end(), {.name = farm->system, .rows = ""});
    block->rows += std::to_string(farm->clients) + " " + std::to_string(median_of(*farm, &Figures::rate_per_s)) + " " +
                   std::to_string(median_of(*farm, &Figures::cpu_us_per_message)) + "\n";
  }
  return blocks;
}

void write_blocks(const std::vector<Block>& blocks, const std::string& path) {
  std::ofstream file(path);
  for (const auto& block : blocks) file << "\"" << block.name << "\"\n" << block.rows << "\n\n";
}

struct Plot {
  std::string output;
  std::string title;
  std::string x_label;
  std::string y_label;
  std::string data;
  std::string columns;
  std::string style;
};

std::string script_of(const Plot& plot, std::size_t lines) {
  return "set output '" + plot.output + "'\nset title '" + plot.title + "'\nset xlabel '" + plot.x_label +
         "'\nset ylabel '" + plot.y_label + "'\nplot for [i=0:" + std::to_string(lines - 1) + "] '" + plot.data +
         "' index i using " + plot.columns + " with " + plot.style + " lw 2 title columnheader(1)\n\n";
}

}  // namespace

void write_plots(const Results& results, const std::string& folder) {
  const auto latencies = latency_blocks(results);
  const auto farms = farm_blocks(results);
  write_blocks(latencies, folder + "/latency.dat");
  write_blocks(farms, folder + "/farms.dat");
  std::ofstream script(folder + "/plots.gp");
  script << "set terminal svg size 900,540 dynamic background rgb 'white'\nset grid\nset key outside right noenhanced\n"
            "set logscale x\nset logscale y\n\n";
  if (!latencies.empty()) {
    script << "set xtics ('50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1000, '99.99 %%' 10000)\n"
           << script_of({.output = "latency.svg",
                         .title = "Latency: one process, one request at a time",
                         .x_label = "part of the requests that is no slower",
                         .y_label = "microseconds",
                         .data = "latency.dat",
                         .columns = "1:2",
                         .style = "lines"},
                        latencies.size());
  }
  if (!farms.empty()) {
    const Plot rate{.output = "rate.svg",
                    .title = "Rate over processes, one request at a time each",
                    .x_label = "processes",
                    .y_label = "requests per second",
                    .data = "farms.dat",
                    .columns = "1:2",
                    .style = "linespoints"};
    auto cost = rate;
    cost.output = "cost.svg";
    cost.title = "Processor time of a message over clients: client and what runs beside it";
    cost.y_label = "microseconds";
    cost.columns = "1:3";
    script << "set xtics autofreq\nset logscale x 2\n"
           << script_of(rate, farms.size()) << script_of(cost, farms.size());
  }
}

}  // namespace tlsmux::bench
