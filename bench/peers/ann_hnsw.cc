// SPDX-License-Identifier: Apache-2.0
//
// ann_hnsw: hnswlib on what `bench_ann ... dump=1` wrote to the working directory. Built by
// bench/run-ann when the header is there (Debian: libhnswlib-dev). CPU time of one thread.
#include <hnswlib/hnswlib.h>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

static double cpu()
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

static std::vector<float> read(const char *path, uint32_t head[2])
{
    FILE *file = fopen(path, "r");
    std::vector<float> floats;
    if (file && fread(head, 8, 1, file) == 1) {
        floats.resize(size_t(head[0]) * head[1]);
        if (fread(floats.data(), 4, floats.size(), file) != floats.size())
            floats.clear();
    }
    if (file)
        fclose(file);
    return floats;
}

int main()
{
    uint32_t items[2], queries[2];
    auto vectors = read("vectors.f32", items), asked = read("queries.f32", queries);
    std::vector<uint32_t> truth(size_t(queries[0]) * 100);
    FILE *file = fopen("truth.u32", "r");
    if (vectors.empty() || asked.empty() || !file ||
        fread(truth.data(), 4, truth.size(), file) != truth.size())
        return 1;
    hnswlib::InnerProductSpace space(items[1]);
    double began = cpu();
    hnswlib::HierarchicalNSW<float> index(&space, items[0], 16, 200);
    for (uint32_t i = 0; i < items[0]; i++)
        index.addPoint(vectors.data() + size_t(i) * items[1], i);
    printf("hnswlib M=16 efC=200: %.1f us an insert\n", (cpu() - began) * 1e6 / items[0]);
    for (size_t ef : {100, 150, 300, 600}) {
        index.setEf(ef);
        size_t hits = 0;
        began = cpu();
        for (uint32_t q = 0; q < queries[0]; q++) {
            auto found = index.searchKnn(asked.data() + size_t(q) * queries[1], 100);
            for (; !found.empty(); found.pop())
                for (int k = 0; k < 100; k++)
                    hits += truth[size_t(q) * 100 + k] == found.top().second;
        }
        printf("hnswlib ef=%zu: %.1f us a query, recall@100 %.4f\n", ef,
               (cpu() - began) * 1e6 / queries[0], double(hits) / truth.size());
    }
}
