"""Events of stream `device`: what devices tell of themselves and of the place that they stand in (catalogue part 2, §12).

An event is about `device` where its envelope or its fields name one, else about its `source` (settled.md).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from rules.instants import Instant, parse_instant
from rules.models import Identifier, Number, Tag
from rules.readingfaults import MAX_SEQ
from rules.records import FiniteJson
from rules.reports.parts import MAX_FIGURES, Choice, Fields, Part, Short, meant

MAX_POINTS = 100
"""Of a certificate, as in the register."""
OR_POINT: tuple[Choice, ...] = (Choice(("device", "point"), 0, 1),)
"""It is about one of them, or about the device that the envelope says."""


def _clock(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return parse_instant(value)
    if type(value) is not int or abs(value) > MAX_SEQ:
        raise ValueError("RFC 3339 text with an offset, or integer milliseconds since the epoch")
    return value


DeviceTime = Annotated[
    int, BeforeValidator(_clock, json_schema_input_type=str | int), Field(json_schema_extra={"format": "date-time"})
]
"""What a device's clock says, ms: any instant, for it may be as wrong as it likes."""


class DeviceFields(Fields):
    """What every type of this stream may say."""

    device: Identifier | None = meant(
        "The device, if it is not `source`", "设备编号，与 source 不同时填写", example="UPS-1", optional=True
    )


class DeviceHeartbeat(DeviceFields):
    """A device lives; with what its clock says its offset is watched."""

    device_time: DeviceTime | None = meant("What its clock says", "设备时钟时间", optional=True)


class DeviceRestart(DeviceHeartbeat):
    """A device began anew: numbers that it lost are explained."""


class DeviceAlarm(DeviceFields):
    """The alarm that people in the place see or hear."""

    cause: Literal["temperature", "humidity", "power", "pressure", "oxygen", "level"] = meant("Its cause", "报警原因")
    state: Literal["on", "off"] = meant("Whether it began or ended", "报警开始或解除")


class DevicePower(DeviceFields):
    """Mains power was lost, or is back."""

    state: Literal["on", "lost"] = meant("What became of it", "供电状态")


class DeviceDoor(DeviceFields):
    """A door was opened or closed."""

    state: Literal["open", "closed"] = meant("What became of it", "门状态")


class DeviceMonitor(DeviceFields):
    """A monitor, such as a particle counter, was switched."""

    state: Literal["on", "off"] = meant("What became of it", "监测仪状态")


class DeviceConfig(DeviceFields):
    """The configuration that a sensor or a device runs with."""

    CHOICES: ClassVar = OR_POINT

    point: Tag | None = meant("Tag of the sensor, if it is about one", "测点", example="CR1.T1", optional=True)
    hash: Short = meant("Hash of the configuration, as registered", "配置哈希值", example="0a1b2c3d")
    fields: Annotated[dict[Short, FiniteJson], Field(max_length=MAX_FIGURES)] | None = meant(
        "Settings, by name", "配置项", example={"set_point": 5}, optional=True
    )


class DeviceSerial(DeviceFields):
    """The serial number that a sensor or a device tells."""

    CHOICES: ClassVar = OR_POINT

    point: Tag | None = meant("Tag of the sensor, if it is about one", "测点", example="CR1.T1", optional=True)
    serial: Short = meant("Serial number", "序列号", example="TH-1181")


class DeviceReplacement(DeviceFields):
    """A sensor or a device was put in the place of another one."""

    CHOICES: ClassVar = OR_POINT

    point: Tag | None = meant("Tag of the sensor, if it is about one", "测点", example="CR1.T1", optional=True)
    old: Short = meant("Serial number of the old one", "原序列号", example="TH-1181")
    new: Short = meant("Serial number of the new one", "新序列号", example="TH-2204")


class CalibrationFound(Part):
    """One point of a certificate."""

    reference: Number = meant("Value of the reference, in the sensor's unit", "标准值")
    error: Number = meant("Error found there, in the sensor's unit", "示值误差")


class DeviceCalibration(DeviceFields):
    """A sensor was calibrated: the sensor is the one of the tag, else the only one of the serial number."""

    CHOICES: ClassVar = (Choice(("point", "serial"), 1, 2),)
    ORDER: ClassVar = (("done_at", "due_at"),)

    point: Tag | None = meant("Tag of the sensor", "测点", example="CR1.T1", optional=True)
    serial: Short | None = meant("Serial number of the sensor", "序列号", example="TH-1181", optional=True)
    done_at: Instant = meant("When it was done", "校准时间")
    due_at: Instant | None = meant("When the next one is due", "下次校准到期时间", optional=True)
    points: Annotated[list[CalibrationFound], Field(min_length=1, max_length=MAX_POINTS)] | None = meant(
        "Points of the certificate", "校准点", optional=True
    )
