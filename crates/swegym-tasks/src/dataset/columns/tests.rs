//! Columns of every type, and every file of columns.

use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit, UnionFields};
use parquet::arrow::ArrowWriter;
use swegym_core::format::instances::Need;

use super::*;
use crate::dataset::column_files::ColumnRows;
use crate::dataset::{Rows, instances};

/// Rows of 300 batches of one dataset, as the `datasets` library types them.
fn batches() -> (Arc<Schema>, Vec<RecordBatch>) {
    let tests = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let schema = Arc::new(Schema::new(vec![
        Field::new("instance_id", DataType::Utf8, true),
        Field::new("repo", DataType::Utf8, true),
        Field::new("FAIL_TO_PASS", tests.clone(), true),
        Field::new("PASS_TO_PASS", tests, true),
        Field::new("version", DataType::Utf8, true),
    ]));
    let batch = |n: usize| {
        let none = || -> ArrayRef { Arc::new(StringArray::new_null(1)) };
        let (mut fails, mut holds) =
            (ListBuilder::new(StringBuilder::new()), ListBuilder::new(StringBuilder::new()));
        fails.append_value([Some("t::é x")]);
        holds.append_value([None::<&str>; 0]);
        let id: ArrayRef = Arc::new(StringArray::from(vec![format!("a-{n}")]));
        let columns = vec![id, none(), Arc::new(fails.finish()), Arc::new(holds.finish()), none()];
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    };
    (schema.clone(), (0..300).map(batch).collect())
}

fn check(path: &std::path::Path) {
    let all: Vec<_> = instances(path, Need::Grading).unwrap().map(Result::unwrap).collect();
    assert_eq!((all.len(), all[299].instance_id.as_str()), (300, "a-299"));
    assert_eq!(all[7].fail_to_pass, ["t::é x"]);
    // Null columns are empty ones; what is required is missing with its row's number.
    let row = instances(path, Need::Everything).unwrap().nth(4).unwrap().unwrap_err();
    assert_eq!(row.line, Some(5));
    assert!(row.to_string().ends_with("the field `repo` is missing"), "{row}");
}

#[test]
fn a_column_of_any_type_costs_no_row() {
    use arrow_array::builder::{Int64Builder, MapBuilder, StringDictionaryBuilder};
    let at = TimestampMicrosecondArray::from(vec![1_704_164_645_000_000]);
    let zone = |name: &str| -> ArrayRef { Arc::new(at.clone().with_timezone(name)) };
    let mut map = MapBuilder::new(None, Int64Builder::new(), StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_value("\"x\"");
    map.append(true).unwrap();
    let mut tests = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new());
    tests.values().append_value("t::a");
    tests.append(true);
    let union = UnionArray::try_new(
        UnionFields::from_fields([Field::new("n", DataType::Float64, false)]),
        vec![0].into(),
        None,
        vec![Arc::new(Float64Array::from(vec![1.5]))],
    );
    let id: DictionaryArray<Int32Type> = vec!["a-1"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("instance_id", Arc::new(id)),
        ("FAIL_TO_PASS", Arc::new(tests.finish())),
        ("PASS_TO_PASS", Arc::new(StringArray::from(vec!["[]"]))),
        ("created_at", zone("UTC")),
        ("berlin", zone("Europe/Berlin")),
        ("offset", zone("+02:00")),
        ("nowhere", zone("Somewhere/Else")),
        ("late", Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]).with_timezone("UTC"))),
        ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("map", Arc::new(map.finish())),
        ("union", Arc::new(union.unwrap())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.arrow");
    let mut writer =
        arrow_ipc::writer::FileWriter::try_new(File::create(&path).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let rows: Vec<_> = instances(&path, Need::Grading).unwrap().collect();
    let row = rows.into_iter().next().unwrap().unwrap();
    assert_eq!((row.instance_id.as_str(), row.created_at.as_str()), ("a-1", "2024-01-02T03:04:05Z"));
    assert_eq!((&row.fail_to_pass, row.pass_to_pass.len()), (&["t::a".to_owned()].iter().collect(), 0));
    let said = |name: &str| row.extra[name].as_str().map(str::to_owned);
    assert_eq!(said("berlin").as_deref(), Some("2024-01-02T03:04:05Z"));
    assert_eq!(said("offset").as_deref(), Some("2024-01-02T05:04:05+02:00"));
    assert_eq!(said("nowhere").as_deref(), Some("2024-01-02T03:04:05Z"));
    assert_eq!(said("map").as_deref(), Some("{7: \"x\"}"));
    assert!(said("late").is_some() && said("union").is_some_and(|text| text.contains("1.5")));
    assert!(row.extra["nan"].is_null());
}

#[test]
fn parquet_and_both_kinds_of_arrow_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(folder.path().join(name)).unwrap();
    let (schema, batches) = batches();
    let mut parquet = ArrowWriter::try_new(file("a.parquet"), schema.clone(), None).unwrap();
    let mut arrow = arrow_ipc::writer::FileWriter::try_new(file("b.arrow"), &schema).unwrap();
    std::fs::create_dir_all(folder.path().join("hf/train")).unwrap();
    let mut stream =
        arrow_ipc::writer::StreamWriter::try_new(file("hf/train/data-00000-of-00001.arrow"), &schema)
            .unwrap();
    for batch in &batches {
        parquet.write(batch).unwrap();
        arrow.write(batch).unwrap();
        stream.write(batch).unwrap();
    }
    parquet.close().unwrap();
    arrow.finish().unwrap();
    stream.finish().unwrap();
    std::fs::write(folder.path().join("hf/train/state.json"), "{}").unwrap();
    for name in ["a.parquet", "b.arrow", "hf"] {
        check(&folder.path().join(name));
    }
    // Cut files are refused, or give the rows before the damage and an error.
    let whole = std::fs::read(folder.path().join("a.parquet")).unwrap();
    std::fs::write(folder.path().join("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    assert!(Rows::open(&folder.path().join("cut.parquet")).is_err());
    let whole = std::fs::read(folder.path().join("hf/train/data-00000-of-00001.arrow")).unwrap();
    std::fs::write(folder.path().join("cut.arrow"), &whole[..whole.len() / 2]).unwrap();
    let rows: Vec<_> = Rows::open(&folder.path().join("cut.arrow")).unwrap().collect();
    assert!(rows.len() > 10 && rows.last().unwrap().is_err());
}

/// Columns of every type that a file can have: a value, none, and another.
fn every_type() -> RecordBatch {
    let ints = || Int32Array::from(vec![Some(7), None, Some(-7)]);
    let words = || vec![Some("a \"b\"\n"), None, Some("漢 é\u{7f}\u{1}")];
    let bytes = || vec![Some(b"\x00\xff".as_slice()), None, Some(b"ab".as_slice())];
    let offsets = || OffsetBuffer::from_lengths([2, 0, 1]);
    let some = || Some(NullBuffer::from(vec![true, false, true]));
    let item = |array: &ArrayRef| Arc::new(Field::new("item", array.data_type().clone(), true));
    let list =
        |array: ArrayRef| -> ArrayRef { Arc::new(ListArray::new(item(&array), offsets(), array, some())) };
    let record = |names: &[&str], columns: Vec<ArrayRef>| -> ArrayRef {
        let field = |(name, column): (&&str, &ArrayRef)| Field::new(*name, column.data_type().clone(), true);
        let fields: Fields = names.iter().zip(&columns).map(field).collect();
        Arc::new(StructArray::new(fields, columns, some()))
    };
    let map = |keys: ArrayRef, values: ArrayRef| -> ArrayRef {
        let fields: Fields = vec![
            Field::new("keys", keys.data_type().clone(), false),
            Field::new("values", values.data_type().clone(), true),
        ]
        .into();
        let entries = StructArray::new(fields.clone(), vec![keys, values], None);
        let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
        Arc::new(MapArray::new(field, offsets(), entries, some(), false))
    };
    let keys = || -> ArrayRef { Arc::new(StringArray::from(vec!["k", "k", "l"])) };
    let dictionary: DictionaryArray<Int8Type> = words().into_iter().collect();
    let large_keys: DictionaryArray<UInt64Type> = words().into_iter().collect();
    let runs = || RunArray::try_new(&Int32Array::from(vec![1, 2, 3]), &StringArray::from(words())).unwrap();
    let union = |offsets: Option<Vec<i32>>| -> ArrayRef {
        let fields = UnionFields::from_fields([
            Field::new("n", DataType::Float64, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Second, None), true),
        ]);
        let children: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![Some(1e16), None, Some(0.5)])),
            Arc::new(TimestampSecondArray::from(vec![0, 1, 2])),
        ];
        let offsets = offsets.map(Into::into);
        Arc::new(UnionArray::try_new(fields, vec![0, 0, 1].into(), offsets, children).unwrap())
    };
    let zoned = |zone: &str| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(vec![Some(1), None, Some(-1_000)]).with_timezone(zone))
    };
    type Small = <Decimal32Type as ArrowPrimitiveType>::Native;
    type Wide = <Decimal256Type as ArrowPrimitiveType>::Native;
    let small: Vec<Option<Small>> = vec![Some(12_345), None, Some(-5)];
    let wide: Vec<Option<Wide>> = vec![Some(Wide::from_i128(i128::MAX)), None, Some(Wide::MINUS_ONE)];
    let huge = vec![Some(i128::MAX), None, Some(i128::MIN)];
    let half = <Float16Type as ArrowPrimitiveType>::Native::from_f32;
    let nested = record(
        &["n", "list", "n", "map"],
        vec![
            Arc::new(ints()),
            list(Arc::new(dictionary.clone())),
            Arc::new(ints()),
            map(keys(), zoned("+01:00")),
        ],
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("null", Arc::new(NullArray::new(3))),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(1)]))),
        ("i16", Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(1)]))),
        ("i32", Arc::new(ints())),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("u8", Arc::new(UInt8Array::from(vec![Some(u8::MAX), None, Some(1)]))),
        ("u16", Arc::new(UInt16Array::from(vec![Some(u16::MAX), None, Some(1)]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(u32::MAX), None, Some(1)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(1)]))),
        ("f16", Arc::new(Float16Array::from(vec![Some(half(0.1)), None, Some(half(f32::INFINITY))]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::MAX)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(1.234_567_890_123_456_7e300)]))),
        ("whole", Arc::new(Float64Array::from(vec![Some(3.0), None, Some(1e10)]))),
        ("nan", Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(f64::NEG_INFINITY)]))),
        ("decimal32", Arc::new(Decimal32Array::from(small).with_precision_and_scale(9, 2).unwrap())),
        (
            "decimal64",
            Arc::new(Decimal64Array::from(vec![5, 0, -5]).with_precision_and_scale(18, 10).unwrap()),
        ),
        (
            "decimal128",
            Arc::new(Decimal128Array::from(huge.clone()).with_precision_and_scale(38, 0).unwrap()),
        ),
        (
            "thousands",
            Arc::new(Decimal128Array::from(vec![1, 0, -2]).with_precision_and_scale(38, -3).unwrap()),
        ),
        ("decimal256", Arc::new(Decimal256Array::from(wide).with_precision_and_scale(76, 38).unwrap())),
        ("utf8", Arc::new(StringArray::from(words()))),
        ("large_utf8", Arc::new(LargeStringArray::from(words()))),
        ("utf8_view", Arc::new(StringViewArray::from(words()))),
        ("binary", Arc::new(BinaryArray::from(bytes()))),
        ("large_binary", Arc::new(LargeBinaryArray::from(bytes()))),
        ("binary_view", Arc::new(BinaryViewArray::from(bytes()))),
        (
            "fixed_binary",
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes().into_iter(), 2).unwrap()),
        ),
        ("date32", Arc::new(Date32Array::from(vec![Some(19_000), None, Some(i32::MAX)]))),
        ("date64", Arc::new(Date64Array::from(vec![Some(1_641_600_000_001), None, Some(i64::MAX)]))),
        ("time32_s", Arc::new(Time32SecondArray::from(vec![Some(3_661), None, Some(86_400)]))),
        ("time32_ms", Arc::new(Time32MillisecondArray::from(vec![Some(3_661_001), None, Some(-1)]))),
        ("time64_us", Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(60_000_000)]))),
        ("time64_ns", Arc::new(Time64NanosecondArray::from(vec![Some(1), None, Some(60_000_000_000)]))),
        ("timestamp_s", Arc::new(TimestampSecondArray::from(vec![Some(0), None, Some(i64::MAX)]))),
        ("timestamp_ms", Arc::new(TimestampMillisecondArray::from(vec![Some(1), None, Some(-1)]))),
        ("timestamp_us", Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None, Some(-1)]))),
        ("timestamp_ns", Arc::new(TimestampNanosecondArray::from(vec![Some(1), None, Some(1_500_000_000)]))),
        ("zone", zoned("Europe/Berlin")),
        ("utc", zoned("UTC")),
        ("offset", zoned("-0330")),
        ("no_offset", zoned("+00:00")),
        ("duration_s", Arc::new(DurationSecondArray::from(vec![Some(90_061), None, Some(i64::MAX)]))),
        ("duration_ms", Arc::new(DurationMillisecondArray::from(vec![Some(1), None, Some(-1_500)]))),
        ("duration_us", Arc::new(DurationMicrosecondArray::from(vec![Some(1), None, Some(-1)]))),
        ("duration_ns", Arc::new(DurationNanosecondArray::from(vec![Some(1), None, Some(-1)]))),
        ("months", Arc::new(IntervalYearMonthArray::from(vec![Some(14), None, Some(-1)]))),
        (
            "day_time",
            Arc::new(IntervalDayTimeArray::from(vec![
                Some(IntervalDayTimeType::make_value(1, 3_661_001)),
                None,
                Some(IntervalDayTimeType::make_value(0, -1_500)),
            ])),
        ),
        (
            "month_day_nano",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                Some(IntervalMonthDayNanoType::make_value(1, -2, 3_661_000_000_001)),
                Some(IntervalMonthDayNanoType::make_value(0, 0, 0)),
                Some(IntervalMonthDayNanoType::make_value(0, 0, -1)),
            ])),
        ),
        ("list", list(Arc::new(ints()))),
        ("lists", {
            let inner = list(Arc::new(StringArray::from(words())));
            Arc::new(LargeListArray::new(item(&inner), OffsetBuffer::from_lengths([1, 0, 2]), inner, some()))
        }),
        ("fixed_list", {
            let inner: ArrayRef =
                Arc::new(UInt8Array::from(vec![Some(1), None, None, None, Some(5), Some(6)]));
            Arc::new(FixedSizeListArray::new(item(&inner), 2, inner, some()))
        }),
        ("list_view", {
            let inner: ArrayRef = Arc::new(ints());
            Arc::new(ListViewArray::new(
                item(&inner),
                vec![1, 0, 0].into(),
                vec![2, 0, 1].into(),
                inner,
                some(),
            ))
        }),
        ("large_list_view", {
            let inner: ArrayRef = Arc::new(ints());
            Arc::new(LargeListViewArray::new(
                item(&inner),
                vec![1, 0, 0].into(),
                vec![2, 0, 1].into(),
                inner,
                some(),
            ))
        }),
        ("record", nested),
        ("map", map(keys(), Arc::new(ints()))),
        ("map_of_numbers", map(Arc::new(UInt8Array::from(vec![1, 1, 2])), Arc::new(ints()))),
        ("map_of_all", {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringViewArray::from(words())),
                Arc::new(Float32Array::from(vec![Some(1e-7), None, Some(f32::NAN)])),
                Arc::new(BinaryArray::from(bytes())),
                list(Arc::new(large_keys.clone())),
                map(keys(), zoned("+01:00")),
                Arc::new(runs()),
                union(None),
                Arc::new(Decimal128Array::from(huge).with_precision_and_scale(38, 38).unwrap()),
                Arc::new(Float16Array::from(vec![Some(half(0.1)), None, Some(half(1e5))])),
                Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), Some(1e15)])),
                Arc::new(NullArray::new(3)),
                Arc::new(BooleanArray::from(vec![true, false, true])),
            ];
            let names = ["s", "f32", "b", "l", "m", "r", "u", "d", "f16", "f64", "null", "bool"];
            map(Arc::new(BooleanArray::from(vec![true, false, true])), record(&names, columns))
        }),
        ("dictionary", Arc::new(dictionary)),
        ("dictionary_of_lists", {
            let keys = Int16Array::from(vec![Some(2), None, Some(0)]);
            Arc::new(DictionaryArray::new(keys, list(Arc::new(large_keys))))
        }),
        ("runs", Arc::new(runs())),
        ("union", union(None)),
        ("dense_union", union(Some(vec![0, 1, 2]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

#[test]
fn every_type_is_read_as_it_always_was() {
    let rows = ColumnRows::new("f".into(), Box::new(vec![Ok(every_type())].into_iter()));
    let rows: Vec<String> = rows
        .map(|row| row.unwrap().read().unwrap().fields.into_iter())
        .map(|fields| fields.map(|(name, value)| format!("{name}: {value}\n")).collect())
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn short_floats_have_the_digits_that_tell_them_from_others() {
    for (value, read) in [
        (0.1, 0.1),
        (7.457_031_3, 7.4570313),
        (44_240_352.0, 44_240_352.0),
        (-205_887_008.0, -205_887_010.0),
        (40_529_888.0, 40_529_890.0),
        (1e-45, 1e-45),
        (f32::MAX, 3.402_823_5e38),
    ] {
        let batch =
            RecordBatch::try_from_iter([("f", Arc::new(Float32Array::from(vec![value])) as ArrayRef)]);
        let fields = Row { batch: &batch.unwrap(), at: 0 }.fields();
        assert_eq!(fields["f"].as_f64(), Some(read), "{value}");
    }
}

proptest::proptest! {
    /// Whatever a plain row is taken for, the readers of fields take it for, too.
    #[test]
    fn a_plain_row_is_what_the_other_reader_makes_of_it(
        texts in proptest::collection::vec("\\PC{0,6}", 20), tests in proptest::collection::vec("\\PC{0,6}", 0..4),
        as_text: bool, absent in 0..20usize, null in 0..40usize, odd in 0..60usize, more in 0..6usize,
    ) {
        const MORE: [&str; 6] = ["docker_image", "image_name", "fail_to_pass", "bug_patch", "metadata", "stars"];
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        let names = swegym_core::format::instances::FIELDS.iter().copied().chain(["install_config", MORE[more]]);
        for (at, name) in names.enumerate() {
            let text = || -> ArrayRef { Arc::new(StringArray::from(vec![texts[at].as_str()])) };
            let list = || -> ArrayRef {
                let mut list = ListBuilder::new(StringBuilder::new());
                list.append_value(tests.iter().map(Some));
                Arc::new(list.finish())
            };
            columns.push((name, match name {
                _ if at == absent => continue,
                _ if at == null => Arc::new(StringArray::new_null(1)),
                _ if at == odd => Arc::new(Int64Array::from(vec![7])),
                "instance_id" => Arc::new(StringArray::from(vec!["a__b-1"])),
                "FAIL_TO_PASS" | "PASS_TO_PASS" if as_text => {
                    Arc::new(StringArray::from(vec![serde_json::to_string(&tests).unwrap()]))
                }
                "FAIL_TO_PASS" | "PASS_TO_PASS" | "fail_to_pass" => list(),
                "install_config" => {
                    let field = Arc::new(Field::new("log_parser", DataType::Utf8, true));
                    Arc::new(StructArray::from(vec![(field, text())]))
                }
                _ => text(),
            }));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let own = plain::instance(&batch, 0, plain::Part::Own);
        if let Some(plain) = plain::instance(&batch, 0, plain::Part::Whole) {
            let without_others = |i: swegym_core::Instance| swegym_core::Instance { extra: serde_json::Map::new(), ..i };
            proptest::prop_assert_eq!(own.map(without_others), Some(without_others(plain.clone())));
            let row = ColumnRows::new("f".into(), Box::new(vec![Ok(batch.clone())].into_iter())).next().unwrap().unwrap();
            let row = row.read().unwrap();
            let read = crate::dataset::Shape::of(&row.fields).instance(row, Need::Grading).ok();
            proptest::prop_assert_eq!(Some(&plain), read.as_ref());
            let short = plain::instance(&batch, 0, plain::Part::Grading).unwrap();
            let none = String::new;
            let without = swegym_core::Instance {
                gold_patch: none(), test_patch: none(), problem_statement: none(), hints_text: none(), ..plain
            };
            proptest::prop_assert_eq!(short, without);
        } else {
            proptest::prop_assert_eq!(own, None);
            proptest::prop_assert!(absent < 17 || null < 17 || odd < 19 || more == 2);
        }
    }
}
